"""PDFium has one caller at a time, whoever asks."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import typst

from bottega.checks.decoders import Undecodable, pdf
from bottega.delivery.pictures import first_page
from bottega.engines.pdfium import pdfium


def test_a_second_thread_waits() -> None:
    inside = threading.Event()

    def enter() -> None:
        with pdfium():
            inside.set()

    with pdfium() as library:
        assert library.__name__ == "pypdfium2"
        thread = threading.Thread(target=enter)
        thread.start()
        assert not inside.wait(0.2)
    thread.join(5)
    assert inside.is_set()


def test_the_lock_is_given_back_after_a_damaged_file(tmp_path: Path) -> None:
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.7\nnothing\n%%EOF")
    with pytest.raises(Undecodable):
        pdf(broken)
    with ThreadPoolExecutor(1) as other:
        assert other.submit(first_page, broken).result(5) == ("", 0, 0, 0)


def test_many_threads_read_and_draw_at_once(tmp_path: Path) -> None:
    path = tmp_path / "pages.pdf"
    path.write_bytes(typst.compile(b"#for i in range(3) [= Page #i\n#lorem(60)\n#pagebreak()]\nEnd."))
    with ThreadPoolExecutor(8) as pool:
        facts = list(pool.map(pdf, [path] * 24))
        pictures = list(pool.map(first_page, [path] * 8))
    assert facts == [{"pages": 4}] * 24
    assert len(set(pictures)) == 1
