"""The log files of the native runtime: bounded, and readable from their end while they are written."""

from pathlib import Path

from specwatch.engines.native.logfile import KEEP, LogFile, follow, tail


def test_a_log_never_grows_beyond_its_bound(tmp_path: Path) -> None:
    """Ensure that old lines go, whole ones stay, and no file is larger than its limit."""
    log = LogFile(tmp_path / "shop.log", limit_bytes=1000)
    for number in range(1000):
        log.write(b"line %03d\n" % number)
    log.close()
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["shop.log", *(f"shop.log.{number}" for number in range(1, KEEP + 1))]
    assert all(file.stat().st_size <= 1000 for file in files)
    assert all(len(line) == 8 for file in files for line in file.read_text().splitlines())
    assert tail(tmp_path / "shop.log", 100)[-1] == "line 999"
    assert len(tail(tmp_path / "shop.log", 100)) == 100


def test_a_follower_loses_no_line_at_a_rotation(tmp_path: Path) -> None:
    """Ensure that whoever follows a log gets every line once, in order, when the file is renamed under it."""
    log = LogFile(tmp_path / "shop.log", limit_bytes=200)
    log.write(b"first\n")
    lines = follow(tmp_path / "shop.log", 10)
    assert next(lines) == "first"
    seen = []
    for number in range(40):
        log.write(b"%d " % number + b"x" * 20 + b"\n")
        seen.append(next(lines).split()[0])
    log.close()
    lines.close()  # type: ignore[attr-defined]  # it is a generator
    assert seen == [str(number) for number in range(40)]


def test_half_a_line_waits_for_its_end(tmp_path: Path) -> None:
    """Ensure that a line which is written in two parts arrives as one."""
    log = LogFile(tmp_path / "shop.log")
    lines = follow(tmp_path / "shop.log", 10)
    log.write(b"one\ntw")
    assert next(lines) == "one"
    log.write(b"o\n")
    assert next(lines) == "two"
    log.close()
    lines.close()  # type: ignore[attr-defined]  # it is a generator


def test_a_log_that_is_not_there_has_no_lines(tmp_path: Path) -> None:
    """Ensure that asking for the log of what never ran is no error."""
    assert tail(tmp_path / "shop.log", 10) == []
