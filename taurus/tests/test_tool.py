"""The program: found, refused, with a reason."""

import pytest
from bzt import ToolError

from encarno.tool import EncarnoTool


def program(tmp_path, content: bytes):
    path = tmp_path / "encarno"
    path.write_bytes(content)
    path.chmod(0o755)
    return path


def test_the_path_of_the_settings_counts(tool, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    found = EncarnoTool(config={"path": tool})
    assert found.tool_path == tool
    assert found.check_if_installed()


def test_the_path_of_the_shell_is_next(tmp_path, monkeypatch):
    path = program(tmp_path, b"#!/bin/sh\nexit 0\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert EncarnoTool().tool_path == str(path)


def test_a_missing_program_is_named(tmp_path):
    missing = EncarnoTool(config={"path": str(tmp_path / "gone")})
    assert not missing.check_if_installed()
    with pytest.raises(ToolError, match="gone"):
        missing.install()


def test_without_sources_the_way_out_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("encarno.tool.REPOSITORY", tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ToolError, match=r"modules\.encarno\.path"):
        EncarnoTool().install()


def test_a_program_of_another_machine_is_refused(tmp_path):
    # The head of an ELF file for a machine that doesn't exist.
    path = program(tmp_path, b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xff\xfe" + bytes(44))
    with pytest.raises(ToolError, match="for this machine"):
        EncarnoTool(config={"path": str(path)}).check_if_installed()


def test_another_program_of_that_name_is_refused(tmp_path):
    path = program(tmp_path, b"#!/bin/sh\necho 'flag provided but not defined' >&2; exit 2\n")
    with pytest.raises(ToolError, match="flag provided"):
        EncarnoTool(config={"path": str(path)}).check_if_installed()
