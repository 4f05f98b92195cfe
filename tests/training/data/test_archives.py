"""Ready-made archives: fetched over a bad network, checked, and unpacked so that nothing gets out of its folder."""

from __future__ import annotations

import hashlib
import http.server
import io
import stat
import tarfile
import zipfile
from collections.abc import Generator
from pathlib import Path

import gdown
import pytest
from click.testing import CliRunner, Result

from livemove.contracts import LivemoveError, OutputError
from tests.support.videosite import Answer, VideoSite
from training import kinetics
from training.data import archives
from training.data.archives import BLOCK, ArchiveError, Limits, fetch, unpack

HASTY = Limits(tries=3, backoff_s=0.01, timeout_s=2.0)
FILES = {"train/tango/a.mp4": b"a" * 5000, "train/tango/b.mp4": b"b" * 70_000, "valid/tango/c.mp4": b"c" * 10}
LARGE = {"train/tango/a.mp4": bytes(range(256)) * 1500}


@pytest.fixture
def site() -> Generator[VideoSite]:
    with VideoSite() as site:
        yield site


def zipped(files: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        for name, target in (links or {}).items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, target)
    return out.getvalue()


def tarred(files: dict[str, bytes], mode: str = "w:gz", *special: tarfile.TarInfo) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for info in special:
            archive.addfile(info)
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def get(url: str, folder: Path, sha256: str | None = None, limits: Limits = HASTY) -> int:
    return fetch(url, folder, sha256, limits, lambda done, total: None)


def noted(ranges: list[str | None], answer: Answer) -> Answer:
    """The same answer; which range was asked for is put down."""

    def ask(request: http.server.BaseHTTPRequestHandler) -> None:
        ranges.append(request.headers.get("Range"))
        answer(request)

    return ask


# --- unpacking ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["zip", "w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("top", ["", "kinetics_debug/"])
def test_an_archive_becomes_a_folder_without_the_one_around_it(
    site: VideoSite, tmp_path: Path, kind: str, top: str
) -> None:
    files = {top + name: content for name, content in FILES.items()}
    site.on("/data", site.serve(zipped(files) if kind == "zip" else tarred(files, kind)))
    assert get(site.url + "/data", tmp_path / "out") == 3
    assert files_in(tmp_path / "out") == FILES
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


EVIL: dict[str, bytes] = {
    "zip climbs": zipped({"../evil": b"x"}),
    "zip climbs inside": zipped({"a/../../evil": b"x"}),
    "zip absolute": zipped({"/tmp/livemove-evil": b"x"}),
    "zip windows": zipped({"..\\evil": b"x"}),
    "zip drive": zipped({"C:/evil": b"x"}),
    "zip link": zipped({}, {"link": "/etc/passwd"}),
    "tar climbs": tarred({"../evil": b"x"}),
    "tar absolute": tarred({"/tmp/livemove-evil": b"x"}),
    "tar link": tarred({}, "w", special("link", tarfile.SYMTYPE, "/etc")),
    "tar link, then through it": tarred({"link/evil": b"x"}, "w", special("link", tarfile.SYMTYPE, "/tmp")),
    "tar hard link": tarred({}, "w", special("link", tarfile.LNKTYPE, "../evil")),
    "tar device": tarred({}, "w", special("null", tarfile.CHRTYPE)),
    "tar pipe": tarred({}, "w", special("pipe", tarfile.FIFOTYPE)),
}


@pytest.mark.parametrize("kind", EVIL)
def test_what_leads_out_is_refused_whole(site: VideoSite, tmp_path: Path, kind: str) -> None:
    site.on("/data", site.serve(EVIL[kind]))
    with pytest.raises(ArchiveError, match=r"a link or a device|leads out of its folder"):
        get(site.url + "/data", tmp_path / "work" / "out")
    assert not (tmp_path / "work" / "out").exists()
    assert not (tmp_path / "evil").exists()
    assert not Path("/tmp/livemove-evil").exists()


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_an_archive_made_to_fill_disks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: object
) -> None:
    monkeypatch.setattr(archives, "FREE_BYTES", 10_000)
    (tmp_path / "bomb").write_bytes(pack({"zeros": bytes(10**6)}))  # type: ignore[operator]
    (tmp_path / "out").mkdir()
    with pytest.raises(ArchiveError, match="made to fill disks"):
        unpack(tmp_path / "bomb", tmp_path / "out", Limits())
    assert sum(len(content) for content in files_in(tmp_path / "out").values()) < 10**6


def test_a_size_that_lies_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The headers say ten bytes; what comes is counted, or found not to fit its checksum."""
    monkeypatch.setattr(archives, "FREE_BYTES", 10_000)
    content = zipped({"zeros": bytes(10**6)}).replace((10**6).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    (tmp_path / "bomb").write_bytes(content)
    (tmp_path / "out").mkdir()
    with pytest.raises(ArchiveError):
        unpack(tmp_path / "bomb", tmp_path / "out", Limits())
    assert sum(len(content) for content in files_in(tmp_path / "out").values()) <= 10_000


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "many").write_bytes(zipped({str(i): b"" for i in range(50)}))
    (tmp_path / "out").mkdir()
    with pytest.raises(ArchiveError, match="more than 20 files"):
        unpack(tmp_path / "many", tmp_path / "out", Limits(files_most=20))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<!DOCTYPE html><html>quota exceeded", "neither zip nor tar; it begins b'<!DOCTYPE html"),
        (zipped(FILES)[:-30], "neither zip nor tar|is damaged"),
        (tarred(FILES)[:-60], "is damaged"),
        (zipped({}), "holds no file"),
        (zipped({"a": b"1", "a/b": b"2"}), "holds 'a' twice"),
    ],
)
def test_what_is_no_archive_is_said(site: VideoSite, tmp_path: Path, content: bytes, said: str) -> None:
    site.on("/data", site.serve(content))
    with pytest.raises(ArchiveError, match=said):
        get(site.url + "/data", tmp_path / "out")
    assert not (tmp_path / "out").exists()


# --- fetching -----------------------------------------------------------------------------------------------


def test_what_broke_off_is_continued(site: VideoSite, tmp_path: Path) -> None:
    content = tarred(LARGE, "w")
    ranges: list[str | None] = []
    site.on("/data", site.hang_up(content, 200_000), noted(ranges, site.serve(content)))
    get(site.url + "/data", tmp_path / "out")
    assert files_in(tmp_path / "out") == LARGE
    assert ranges == [f"bytes={200_000 // BLOCK * BLOCK}-"]


def test_a_server_without_ranges_begins_again(site: VideoSite, tmp_path: Path) -> None:
    content = tarred(LARGE, "w")
    site.on("/data", site.hang_up(content, 200_000), site.serve(content, ranges=False))
    get(site.url + "/data", tmp_path / "out")
    assert files_in(tmp_path / "out") == LARGE


def test_an_interrupted_fetch_goes_on_when_the_checksum_is_known(site: VideoSite, tmp_path: Path) -> None:
    content = tarred(LARGE, "w")
    sha256 = hashlib.sha256(content).hexdigest()
    site.on("/data", site.hang_up(content, 200_000))
    with pytest.raises(ArchiveError, match="3 times; try again later"):
        get(site.url + "/data", tmp_path / "out", sha256)
    ranges: list[str | None] = []
    site.on("/data", noted(ranges, site.serve(content)))
    get(site.url + "/data", tmp_path / "out", sha256)
    assert ranges == [f"bytes={200_000 // BLOCK * BLOCK}-"]
    assert files_in(tmp_path / "out") == LARGE


@pytest.mark.parametrize("trouble", ["stall", "429", "503"])
def test_a_network_that_fails_for_a_while_is_tried_again(site: VideoSite, tmp_path: Path, trouble: str) -> None:
    first = site.stall() if trouble == "stall" else site.status(int(trouble))
    site.on("/data", first, site.serve(zipped(FILES)))
    get(site.url + "/data", tmp_path / "out")
    assert files_in(tmp_path / "out") == FILES


def test_patience_ends_with_the_reason(site: VideoSite, tmp_path: Path) -> None:
    site.on("/data", site.status(503))
    with pytest.raises(ArchiveError, match="the server answers 503, 3 times"):
        get(site.url + "/data", tmp_path / "out")
    assert site.count("/data") == 3


def test_what_is_not_there_is_not_asked_for_twice(site: VideoSite, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="the server answers 404"):
        get(site.url + "/data", tmp_path / "out")
    assert site.count("/data") == 1


def test_a_wrong_checksum_unpacks_nothing(site: VideoSite, tmp_path: Path) -> None:
    site.on("/data", site.serve(zipped(FILES)))
    with pytest.raises(ArchiveError, match=r"sha256 is .*, expected 00*; nothing was unpacked"):
        get(site.url + "/data", tmp_path / "out", "0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_an_archive_beyond_the_cap_is_given_up(site: VideoSite, tmp_path: Path) -> None:
    site.on("/data", site.drip())
    with pytest.raises(ArchiveError, match=r"larger than 0\.001 GB"):
        get(site.url + "/data", tmp_path / "out", limits=Limits(bytes_most=10**6, timeout_s=5.0))


def test_a_folder_with_something_in_it_is_left_alone(site: VideoSite, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("all of it")
    with pytest.raises(OutputError, match="is there already"):
        get(site.url + "/data", tmp_path / "out")
    assert site.asked == []


@pytest.mark.parametrize("url", ["ftp://example.org/x.zip", "file:///etc/passwd", "x.zip", "https://"])
def test_only_the_web_is_asked(tmp_path: Path, url: str) -> None:
    with pytest.raises(ArchiveError, match="not an http or https address"):
        get(url, tmp_path / "out")


def test_google_drive_goes_through_gdown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no Drive on loopback: what is asked of gdown, and what becomes of what it brings."""
    asked: list[str] = []

    def bring(*, id: str, output: str, quiet: bool) -> str:
        asked.append(id)
        Path(output).write_bytes(zipped(FILES))
        return output

    monkeypatch.setattr(gdown, "download", bring)
    get("https://drive.google.com/file/d/1AbCdEfGhIjKlMnOp/view?usp=sharing", tmp_path / "a")
    get("https://drive.google.com/uc?export=download&id=1AbCdEfGhIjKlMnOp", tmp_path / "b")
    assert asked == ["1AbCdEfGhIjKlMnOp"] * 2
    assert files_in(tmp_path / "a") == FILES
    with pytest.raises(LivemoveError, match="not the link of one file"):
        get("https://drive.google.com/drive/folders/1AbCdEfGhIjKlMnOp", tmp_path / "c")


# --- the command --------------------------------------------------------------------------------------------


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(kinetics.main, ["fetch", *(str(argument) for argument in arguments)])


def test_the_command_says_what_came(site: VideoSite, tmp_path: Path) -> None:
    site.on("/data", site.serve(zipped(FILES)))
    done = call(site.url + "/data", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "tango                        train     2  valid     1" in done.stdout
    assert done.stdout.strip().endswith("out: 3 files, 3 clips")


def test_a_bad_archive_is_one_line_and_exit_code_2(site: VideoSite, tmp_path: Path) -> None:
    site.on("/data", site.serve(zipped({"../evil": b"x"})))
    done = call(site.url + "/data", tmp_path / "out")
    assert done.exit_code == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "'../evil'" in done.stderr
