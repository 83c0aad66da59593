"""Runs on agents: the command that makes them, their files, and real runs."""

import os
from pathlib import Path

import pytest
import yaml
from bzt import TaurusConfigError
from bzt_run import Bzt, free_port
from conftest import RAW

from encarno.config import ConfigWriter


@pytest.fixture
def plan(make_executor, notes):
    """The command and the configuration of a run on agents."""

    def made(settings, scenario=None, execution=None):
        scenario = RAW | {"requests": ["/"]} | (scenario or {})
        writer = ConfigWriter(make_executor(execution or {}, scenario, settings), notes)
        file = writer.write()
        with open(file, encoding="utf-8") as text:
            return writer, writer.command(file), yaml.safe_load(text)

    return made


def test_agents_of_a_group(plan, tmp_path):
    (tmp_path / "ca.pem").write_text("")
    nats = {"url": "nats://hub:4222", "group": "lab", "ca": "ca.pem"}
    writer, command, config = plan({"agents": 8, "nats": nats, "collect": "hits"})
    assert command == [
        *("run", "--agents", "8", "--nats", "nats://hub:4222", "--group", "lab"),
        *("--nats-ca", str(tmp_path / "ca.pem"), "--collect", "hits"),
        *("--parent", str(os.getpid()), f"--growing={writer.followed}"),
        *(f"--output={writer.results}", "encarno.yml"),
    ]
    # Agents write no files, and know only those of the folder.
    assert config["output"] == {} and config["run"] == {"summaryfile": writer.summary}
    assert config["input"]["payloadfile"] == "encarno.payload"
    assert writer.folder == str(tmp_path)
    _, command, _ = plan({"agents": "local:2"}, {"nats": "nats://other"})
    assert command[:5] == ["run", "--agents", "local:2", "--nats", "nats://other"]
    writer, command, config = plan({})
    assert writer.folder is None and command[:2] == ["run", "--parent"]
    assert config["output"]["nativefile"] == writer.results == writer.followed


def test_pods_of_kubernetes(plan, tmp_path):
    pods = {
        "namespace": "load",
        "agents": 3,
        "image": "encarno:1",
        "node-selector": {"disk": "fast", "zone": "a"},
        "pull-secret": ["one", "two"],
        "pod-logs": "logs",
        "kubeconfig": "kube.conf",
    }
    (tmp_path / "kube.conf").write_text("")
    _, command, _ = plan({"kubernetes": pods})
    assert command[:-5] == [
        *("kube", "run", "--namespace", "load", "--agents", "3", "--image", "encarno:1"),
        *("--node-selector", "disk=fast", "--node-selector", "zone=a"),
        *("--pull-secret", "one", "--pull-secret", "two"),
        *("--pod-logs", os.path.abspath("logs"), "--kubeconfig", str(tmp_path / "kube.conf")),
    ]


def test_files_are_linked_to_where_agents_find_them(plan, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    names = ("d.csv", "ca.pem", "resp.wasm")
    for name in names:
        (elsewhere / name).write_text("a,b\n1,2\n")
    scenario = {
        "nib": {"wasm": str(elsewhere / "resp.wasm")},
        "default-address": "tls://h:1",
        "data-sources": [str(elsewhere / "d.csv")],
        "tls-config": {"cafile": str(elsewhere / "ca.pem"), "keyfile": "-----BEGIN"},
        "requests": [{"body": "${a}"}],
    }
    _, _, config = plan({"agents": 2, "nats": "nats://h"}, scenario)
    named = (
        config["workers"]["data"][0]["file"],
        config["protocol"]["tlsconf"]["cafile"],
        config["nib"]["wasm"],
    )
    for name, link in zip(names, named, strict=True):
        assert "/" not in link
        assert (tmp_path / link).resolve() == elsewhere / name
    assert config["protocol"]["tlsconf"]["keyfile"] == "-----BEGIN"


def test_what_agents_cannot_do_is_told(plan, tmp_path):
    agents = {"agents": 2, "nats": "nats://h"}
    for settings, word in (
        ({"nats": "nats://h"}, "how many"),
        ({"kubernetes": {"namespace": "load"}}, "how many"),
        ({"kubernetes": {"agents": 2}, "agents": 2}, "write it once"),
        ({"kubernetes": "load"}, "write keys"),
        ({"agents": 2, "nats": {"host": "h"}}, "'host' isn't one of"),
        (agents | {"capacity": {"workers": 2}}, "one machine"),
    ):
        with pytest.raises(TaurusConfigError, match=word):
            plan(settings)
    (tmp_path / "s.wasm").write_bytes(b"encarno:scenario/shaper@0.1.0")
    with pytest.raises(TaurusConfigError, match="its own hits"):
        plan(agents, {"scenario-component": {"wasm": "s.wasm"}})


def on_agents(tmp_path: Path, tool: str, **execution) -> dict:
    """A run on two agents of this machine, with two labels and a file from another folder."""
    listen = f"127.0.0.1:{free_port()}"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "numbers.csv").write_text("n,m\n1,1\n2,2\n")
    execution = {key.replace("_", "-"): value for key, value in execution.items()}
    return {
        "execution": [{"executor": "encarno", "scenario": "s"} | execution],
        "scenarios": {
            "s": {
                "default-address": f"http://{listen}",
                "follow-redirects": False,
                "data-sources": [str(elsewhere / "numbers.csv")],
                "requests": [{"url": "/a", "label": "a"}, {"url": "/b?${n}", "label": "b"}],
            }
        },
        "services": [{"module": "encarno-target", "listen": listen}],
        "modules": {"encarno": {"path": tool, "agents": "local:2"}, "console": {"disable": True}},
    }


def test_a_run_on_two_agents_is_as_one_on_one_machine(tool, tmp_path):
    bzt = Bzt(tmp_path, tool, on_agents(tmp_path, tool, throughput=200, hold_for="4s"))
    assert bzt.wait() == 0, bzt.said()
    bzt.compare()
    hits = {label: int(row["throughput"]) for label, row in bzt.rows().items()}
    assert hits[""] == hits["a"] + hits["b"] == 800
    assert "scheduled 800 = done 800 + failed 0 + dropped 0" in bzt.said()
    for name in ("encarno.yml", "encarno.payload", "encarno_results.enc"):
        assert (bzt.artifacts / name).stat().st_mode & 0o777 == 0o600, name
    assert not list(bzt.artifacts.glob("encarno_growing*"))


def test_a_criterion_ends_a_run_on_all_agents(tool, tmp_path):
    config = on_agents(tmp_path, tool, throughput=200, hold_for="1h")
    config["reporting"] = [
        {"module": "final-stats", "dump-csv": str(tmp_path / "stats.csv")},
        # It needs the figures while the run goes on.
        {"module": "passfail", "criteria": ["hits>1 for 2s, stop as failed"]},
    ]
    bzt = Bzt(tmp_path, tool, config)
    assert bzt.wait() == 3, bzt.said()
    assert "Failed: hits>1 for 2 sec" in bzt.said()
    bzt.compare()
    assert int(bzt.rows()[""]["throughput"]) > 200


def test_a_functional_test_on_agents_tells_each_hit(tool, tmp_path):
    config = on_agents(tmp_path, tool, iterations=3, concurrency=2)
    config["reporting"] = [{"module": "junit-xml", "filename": str(tmp_path / "report.xml")}]
    config["modules"]["blazemeter"] = {"upload-artifacts": False}
    bzt = Bzt(tmp_path, tool, config, options=("-func",))
    assert bzt.wait() == 0, bzt.said()
    # A functional test uses each row of the data once, on one of the agents.
    text = (tmp_path / "report.xml").read_text()
    assert (text.count('name="a"'), text.count('name="b"')) == (2, 2), text


def test_a_cluster_that_is_not_there_is_named(tool, tmp_path):
    gone = {"kubeconfig": str(tmp_path / "gone.conf"), "namespace": "load", "image": "i"}
    config = on_agents(tmp_path, tool, iterations=1)
    config["modules"]["encarno"] = {"path": tool, "kubernetes": gone | {"agents": 2}}
    bzt = Bzt(tmp_path, tool, config)
    assert bzt.wait() == 1
    assert "gone.conf" in bzt.said()
