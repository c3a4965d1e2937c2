"""Multipart bodies, written to disk as they come: no upload is ever held in memory."""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import msgspec
from python_multipart.multipart import MultipartParser, parse_options_header

from bottega.core.errors import InvalidValue, TooLarge
from bottega.server.message import Call, misfit

MOST_FIELDS = 64
LONGEST_FIELD = 1 << 20  # bytes of a field that is no file
T = TypeVar("T")


@dataclass
class Upload:
    """A file that was sent."""

    name: str
    media_type: str
    path: Path
    size: int = 0


@dataclass
class Form:
    """The fields and files of a multipart body; the files are gone when it is left."""

    fields: dict[str, str] = field(default_factory=dict[str, str])
    files: dict[str, Upload] = field(default_factory=dict[str, Upload])  # of one name, the last
    uploads: list[tuple[str, Upload]] = field(default_factory=list[tuple[str, Upload]])  # every one, in order
    folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.folder is not None:
            self.folder.cleanup()

    def several(self, name: str) -> list[Upload]:
        """Files of a name, as ``name`` or ``name[]``, in order; at least one.

        Raises:
            InvalidValue: there is none.
        """
        found = [upload for given, upload in self.uploads if given.partition("[")[0] == name]
        return found or [self.file(name)]

    def read(self, shape: type[T]) -> T:
        """The fields as this shape; an empty one counts as left out, what it does not name is left aside.

        Raises:
            InvalidValue: naming the field.
        """
        given = {name.partition("[")[0]: value for name, value in self.fields.items() if value}
        try:
            return msgspec.convert(given, shape, strict=False)
        except msgspec.ValidationError as error:
            raise misfit(error) from error

    def file(self, name: str) -> Upload:
        """A file that must be there.

        Raises:
            InvalidValue: it is not.
        """
        if name not in self.files:
            raise InvalidValue("there is no file", where=name, remedy=f"send the file as the field '{name}'")
        return self.files[name]


async def read_form(call: Call, most: int) -> Form:
    """The body of a call as a form.

    Raises:
        InvalidValue: it is no multipart body.
        TooLarge: it has more than ``most`` bytes, or too many fields.
    """
    kind, options = parse_options_header(call.header(b"content-type").encode("latin-1"))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise InvalidValue(
            "the body is no form", where="content-type", remedy="send multipart/form-data with a boundary"
        )
    form = Form(folder=tempfile.TemporaryDirectory(prefix="bottega-upload-"))
    reader = _Reader(form)
    try:
        parser = MultipartParser(boundary, reader.callbacks())  # pyright: ignore[reportArgumentType]
        async for chunk in call.chunks(most):
            parser.write(chunk)
            if reader.fault is not None:
                raise reader.fault
        parser.finalize()
    except BaseException as error:
        reader.close()
        form.__exit__(None, None, None)
        if isinstance(error, ValueError):  # what the parser raises
            raise InvalidValue(f"the form cannot be read: {error}", where="body") from error
        raise
    if not reader.ended:
        form.__exit__(None, None, None)
        raise InvalidValue("the form ends in the middle", where="body")
    return form


class _Reader:
    """What the parser calls, piece by piece."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self.fault: Exception | None = None
        self.ended = False
        self._header, self._value = b"", b""
        self._headers: dict[bytes, bytes] = {}
        self._name = ""
        self._text = bytearray()
        self._upload: Upload | None = None
        self._file = None
        self._count = 0

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._field,
            "on_header_value": self._more,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_end,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._all,
        }

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self) -> None:
        self._headers, self._text, self._upload = {}, bytearray(), None
        self._count += 1
        if self._count > MOST_FIELDS:
            self.fault = TooLarge(f"more than {MOST_FIELDS} fields", where="body")

    def _field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _more(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._header.lower()] = self._value
        self._header, self._value = b"", b""

    def _headers_end(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if (given := options.get(b"filename")) is not None and self.form.folder is not None:
            name = given.decode("utf-8", "replace").replace("\\", "/").rpartition("/")[2] or "file"
            path = Path(self.form.folder.name) / f"{self._count}"
            kind = self._headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip()
            self._upload = Upload(name, kind, path)
            self._file = path.open("wb")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._upload is not None and self._file is not None:
            self._file.write(data[start:end])
            self._upload.size += end - start
            return
        self._text += data[start:end]
        if len(self._text) > LONGEST_FIELD:
            self.fault = TooLarge(f"a field is longer than {LONGEST_FIELD} bytes", where=self._name)

    def _end(self) -> None:
        self.close()
        if self._upload is not None:
            self.form.files[self._name] = self._upload
            self.form.uploads.append((self._name, self._upload))
            return
        try:
            self.form.fields[self._name] = self._text.decode()
        except UnicodeDecodeError:
            self.fault = InvalidValue("it is not UTF-8", where=self._name)

    def _all(self) -> None:
        self.ended = True
