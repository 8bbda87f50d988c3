"""Feed a coverage-guided fuzzer's inputs to the loader of model files, for as long as one likes; no part of the suite.

    pip install atheris
    python tests/fuzz_model_files.py document -max_total_time=600
    python tests/fuzz_model_files.py bytes -max_total_time=600

With ``bytes`` an input is a whole file. With ``document`` it is the JSON text of a model, put with the tensors of a
real one into a file whose checksum is right, so that it gets as far as the making of layers. Arguments go on to
libFuzzer. Anything but a ModelFileError, or a model whose own file can be loaded again, ends the run with a report.
"""

import json
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["fastmlp"], exclude=["fastmlp.kernels", "fastmlp.engine"]):
    from fastmlp.errors import ModelFileError
    from fastmlp.saving import container, state
    from fastmlp.saving.model import to_pieces

from test_hostile_files import good, parts


def load(data: bytes) -> None:
    """Be refused, or make a model that can be saved and loaded."""
    try:
        model = state.restore(*container.unpack(data, "the file"), "the file")
    except ModelFileError:
        return
    again = b"".join(to_pieces(model))
    state.restore(*container.unpack(again, "its file"), "its file")


def load_document(text: bytes) -> None:
    """Put a document into a file that is right but for it, and load that."""
    try:
        document = json.loads(text)
        packed = b"".join(container.pack(document, parts()[1]))
    except (ValueError, RecursionError):
        # no JSON, or none that a file could hold
        return
    load(packed)


def main() -> None:
    kind = sys.argv.pop(1) if len(sys.argv) > 1 else ""
    if kind not in ("bytes", "document"):
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        seed = good() if kind == "bytes" else json.dumps(parts()[0]).encode()
        Path(folder, "seed").write_bytes(seed)
        words = Path(folder, "words.dict")
        # names that the document has, for the fuzzer to put together
        names = sorted({word for word in json.dumps(parts()[0]).split('"') if word.replace("_", "").isalnum()})
        words.write_text("".join(f'"\\"{name}\\""\n' for name in names))
        options = ["-max_len=20000", f"-dict={words}", *sys.argv[1:], folder]
        atheris.Setup([sys.argv[0], *options], load if kind == "bytes" else load_document)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
