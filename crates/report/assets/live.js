/* Live: whenever the run has more to say, it sends the page anew, and what is chosen stays. */
async function renew(text) {
  const next = new DOMParser().parseFromString(text, "text/html");
  const page = await unpack(next.getElementById("data").textContent), whole = app.isWhole();
  const focused = document.activeElement && document.activeElement.id, scrolled = window.scrollY;
  for (const name of ["header", "main"]) document.querySelector(name).replaceWith(document.adoptNode(next.querySelector(name)));
  app.runs = page.runs;
  if (whole || app.range[1] > app.bins()) app.range = [0, app.bins()];
  setUp();
  draw();
  const element = focused && byId(focused);
  if (element) element.focus({ preventScroll: true });
  window.scrollTo(0, scrolled);
}
function follow() {
  if (document.documentElement.dataset.live !== "on") return;
  const source = new EventSource("events" + (location.search ? location.search + "&" : "?") + "page=1");
  let busy = false, more = false, state = "running";
  const names = { running: "The run goes on.", paused: "The run is paused.", ended: "The run has ended. What you see is all of it." };
  const say = text => { const place = byId("live-state"); if (place) place.textContent = text; };
  const bar = () => {
    if (byId("live")) return;
    const box = html("p", { id: "live" }, null, document.querySelector("header"));
    html("span", { id: "live-state", role: "status" }, names[state], box);
    if (!document.documentElement.dataset.control || state === "ended") return;
    const steer = async way => {
      const answer = await fetch(way + location.search, { method: "POST", headers: { "X-Encarno": "1" } });
      if (!answer.ok) say(await answer.text());
    };
    html("button", { id: "live-pause", type: "button" }, state === "paused" ? "Resume" : "Pause", box).addEventListener("click", () => steer(state === "paused" ? "resume" : "pause"));
    html("button", { id: "live-stop", type: "button" }, "Stop", box).addEventListener("click", () => steer("stop"));
  };
  const take = async event => {
    const figures = JSON.parse(event.data), last = event.type === "end";
    if (last) source.close();
    state = figures.state;
    if (busy) { more = event; return; }
    busy = true;
    try {
      await renew(figures.page);
      bar();
      say(names[state] || state);
      document.documentElement.dataset.live = last ? "ended" : "on";
    } catch (error) { say("The page can't be renewed: " + error.message); }
    busy = false;
    if (more) { const next = more; more = false; take(next); }
  };
  source.addEventListener("second", take);
  source.addEventListener("end", take);
  source.addEventListener("error", () => { if (document.documentElement.dataset.live === "on") say("The run says nothing: it may have ended, or the connection is lost."); });
  bar();
}
