"use strict";
/* Data: decoded once, histograms as typed arrays; quantiles by merging them. */
async function unpack(text) {
  const raw = Uint8Array.from(atob(text), c => c.charCodeAt(0));
  const stream = new Blob([raw]).stream().pipeThrough(new DecompressionStream("gzip"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const length = new DataView(bytes.buffer).getUint32(0, true);
  const page = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  let at = 4 + length;
  const number = () => {
    let value = 0, scale = 1;
    for (;;) {
      const byte = bytes[at++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
      scale *= 128;
    }
  };
  for (const run of page.runs) {
    run.times = {};
    for (const section of run.sections) {
      const buckets = [], counts = [], starts = new Uint32Array(section.count + 1);
      for (let i = 0; i < section.count; i++) {
        let bucket = 0;
        for (let pairs = number(); pairs > 0; pairs--) {
          bucket += number();
          buckets.push(bucket);
          counts.push(number());
        }
        starts[i + 1] = buckets.length;
      }
      run.times[section.name] = { shift: section.shift, starts, buckets: Uint32Array.from(buckets), counts: Float64Array.from(counts) };
    }
  }
  return page;
}
/* Where a bucket of full resolution begins: 1024 for each power of two. */
function lowOf(bucket) {
  const magnitude = Math.floor(bucket / 1024);
  if (magnitude < 2) return bucket;
  return (bucket - (magnitude - 1) * 1024) * 2 ** (magnitude - 1);
}
function middleOf(bucket, shift) {
  if (shift === 0) {
    const magnitude = Math.floor(bucket / 1024);
    return magnitude < 2 ? bucket : lowOf(bucket) + 2 ** (magnitude - 2);
  }
  return (lowOf(bucket * 2 ** shift) + lowOf((bucket + 1) * 2 ** shift)) / 2;
}
/* The sum of the histograms [from, to) of a section. */
function merged(times, from, to) {
  const first = times.starts[from], last = times.starts[to];
  let least = Infinity, most = -1, total = 0;
  for (let i = first; i < last; i++) {
    const bucket = times.buckets[i];
    if (bucket < least) least = bucket;
    if (bucket > most) most = bucket;
    total += times.counts[i];
  }
  if (most < 0) return { shift: times.shift, least: 0, counts: new Float64Array(0), total: 0 };
  const counts = new Float64Array(most - least + 1);
  for (let i = first; i < last; i++) counts[times.buckets[i] - least] += times.counts[i];
  return { shift: times.shift, least, counts, total };
}
/* The value at a rank, from 1 to the total. The running totals are made once for all ranks. */
function atRank(sum, rank) {
  if (!sum.until) {
    const until = sum.until = new Float64Array(sum.counts.length);
    for (let i = 0, before = 0; i < until.length; i++) until[i] = before += sum.counts[i];
  }
  let low = 0, high = sum.until.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sum.until[middle] >= rank) high = middle;
    else low = middle + 1;
  }
  return middleOf(sum.least + low, sum.shift);
}
const rankOf = (share, total) => Math.min(Math.max(Math.ceil(share * total), 1), Math.max(total, 1));
function quantiles(sum, shares) {
  if (sum.total === 0) return shares.map(() => null);
  return shares.map(share => atRank(sum, rankOf(share, sum.total)));
}
/* A quantile and the ranks between which it lies with 95 % confidence. */
function withBand(sum, share) {
  if (sum.total === 0) return [null, null, null];
  const half = 1.96 * Math.sqrt(sum.total * share * (1 - share));
  const rank = rankOf(share, sum.total), low = Math.max(Math.floor(share * sum.total - half), 1);
  const high = Math.max(Math.min(Math.ceil(share * sum.total + half), sum.total), rank);
  return [Math.max(rank, low), low, high].map(rank => atRank(sum, rank));
}
/* Digits as Rust rounds them: a tie goes to the even one. */
function fixed(value, digits) {
  const text = value.toFixed(digits), exact = value.toFixed(60);
  const cut = exact.length - 60 + digits;
  const tie = /^50*$/.test(exact.slice(digits === 0 ? cut + 0 : cut).replace(".", ""));
  if (!tie) return text;
  const down = exact.slice(0, digits === 0 ? cut - 1 : cut);
  return (down.charCodeAt(down.length - 1) - 48) % 2 === 0 ? down : text;
}
function timeText(ns) {
  if (ns === null || ns === undefined) return "-";
  if (ns < 1e3) return fixed(ns, 0) + " ns";
  const [value, unit] = ns < 1e6 ? [ns / 1e3, "µs"] : ns < 1e9 ? [ns / 1e6, "ms"] : [ns / 1e9, "s"];
  return fixed(value, value < 10 ? 2 : value < 100 ? 1 : 0) + " " + unit;
}
function countText(value) {
  if (value === null || value === undefined) return "-";
  if (value >= 1e6) return (value / 1e6).toPrecision(3) + "M";
  if (value >= 1e4) return (value / 1e3).toPrecision(3) + "k";
  return value >= 100 || Number.isInteger(value) ? value.toFixed(0) : value.toPrecision(3);
}
