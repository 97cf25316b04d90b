"""How Sphinx makes the documentation site, see .ci/docs.

Its pages are the documents of the repository, each where it is, and docs/api, which shows the
docstrings of the Python client. A document that NAVIGATION lacks is an error.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from itertools import groupby
from pathlib import Path
from textwrap import dedent, indent
from typing import Any, Iterator, List, Optional, Set, Tuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "client/python/src"))

from cyberdb_fast import errors  # noqa: E402
from cyberdb_fast.adapters import frameworks  # noqa: E402

NAVIGATION = {
    "Start": ("/docs/TUTORIAL", "/docs/MIGRATION", "/BENCHMARKS"),
    "Python": (
        "Overview </client/python/README>",
        "/docs/api/connect",
        "/docs/api/dicts",
        "/docs/api/lists",
        "/docs/api/pipelines",
        "/docs/api/waiting",
        "/docs/api/asyncio",
        "/docs/api/values",
        "/docs/api/server",
        "/docs/api/adapters",
        "/docs/api/errors",
    ),
    "Go": ("/docs/api/go",),
    "Tables": ("/docs/COMMANDS", "/docs/EXPIRY", "/docs/WAITING", "/docs/SHELL"),
    "Operations": (
        "/docs/OPERATIONS",
        "/docs/CONFIGURATION",
        "/docs/MONITORING",
        "/docs/RELIABILITY",
        "/docs/SECURITY",
    ),
    "Protocol": ("/codec/PROTOCOL", "/codec/VALUES", "/persist/FORMAT", "/codec/LEGACY"),
    "Project": (
        "/CONTRIBUTING",
        "/CHANGELOG",
        "/loop/DESIGN",
        "/loop/engine/DESIGN",
        "/shardmap/DESIGN",
        "/bench/results/README",
        "/bench/results/HITS",
        "/bench/results/MICRO",
    ),
}

ADAPTERS = sorted(path for path in Path(frameworks.__file__).parent.glob("*.py") if "\nrequire(" in path.read_text())


def imported(path: Path) -> Set[str]:
    """The packages that a module imports, but for its own."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = [name.name for node in nodes if isinstance(node, ast.Import) for name in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
    return {name.partition(".")[0] for name in names}


project = "cyberdb-fast"
html_title = "cyberdb-fast"
root_doc = "README"
smartquotes = False
toc_object_entries_show_parents = "hide"
include_patterns = ["**.md", "docs/api/*.rst"]
exclude_patterns = ["**/.*", "**/testdata", "bin", "dist"]
extensions = ["myst_parser", "sphinx.ext.autodoc"]

myst_heading_anchors = 6  # the anchors that Git hosts make

html_theme = "furo"
html_copy_source = False
html_show_copyright = False

add_module_names = False
# The frameworks of the adapters are not installed, and their versions do not matter here.
autodoc_mock_imports = sorted(set().union(*map(imported, ADAPTERS)) - {*sys.stdlib_module_names, "cyberdb_fast"})
frameworks.require = lambda *_: None
autodoc_member_order = "groupwise"
autodoc_typehints_format = "short"
maximum_signature_line_length = 180
python_use_unqualified_type_names = True
suppress_warnings = ["ref.python"]  # both APIs have a Client, a CyberDict, ...

ERRORS = re.compile(rf"\b({'|'.join(name for name, _ in inspect.getmembers(errors, inspect.isclass))})\b")
METHODS = re.compile(r"\b(?:cyberdb_fast\.)?((?:CyberDict|CyberList|Lock|Pipeline|Proxy|Subscription)\.\w+)")
# Users construct these, or see their fields there; the others are made by functions and methods.
CONSTRUCTED = ("Extension", "Message", "Server", "Table", "Unopened")


def complete(_app: Any, document: str, source: List[str]) -> None:
    """Adds what only the site has: navigation, Go's comment on the page about Go, the adapters."""
    if document == "docs/api/adapters":
        for path in ADAPTERS:
            module = f".. automodule:: cyberdb_fast.adapters.{path.stem}"
            source[0] += f"\n\n{path.stem}\n{'-' * 40}\n\n{module}\n   :members:\n   :special-members: __init__\n"
    if document == "docs/api/go":
        comment = (ROOT / "client/doc.go").read_text().partition("\npackage ")[0]
        source[0] += "\n" + re.sub(r"^// ?(#?)", r"\1\1", comment, flags=re.MULTILINE)
    if document == root_doc:
        for caption, pages in NAVIGATION.items():
            listed = "\n".join(pages)
            options = f":hidden:\n:titlesonly:\n:maxdepth: 1\n:caption: {caption}"
            source[0] += f"\n\n```{{toctree}}\n{options}\n\n{listed}\n```\n"


def lay_out(_app: Any, _what: str, _name: str, _what_it_is: Any, _options: Any, lines: List[str]) -> None:
    """Makes reStructuredText of a docstring: plain text with `code`, columns and examples."""
    paragraphs = "\n".join(lines).strip().split("\n\n")
    lines[:] = []
    for is_code, part in groupby(paragraphs, key=lambda paragraph: paragraph.startswith(("    ", ">>>"))):
        code = "\n\n".join(part)
        if is_code:
            code = indent(dedent(code), "    ")
            lines += [f".. code-block:: {'pycon' if '>>>' in code else 'python'}", "", *code.split("\n"), ""]
        else:
            for paragraph in code.split("\n\n"):
                lines += [*paragraph_lines(paragraph), ""]


def paragraph_lines(paragraph: str) -> Iterator[str]:
    """A paragraph, or a list of names with a text for each, in columns."""
    rows = re.split(r"\n(?! )", paragraph)
    columns = [re.match(r"(\w[\w, ]*?)  +(.*)", row, re.DOTALL) for row in rows]
    if not all(columns):
        text, *rest = re.split(r"\bErrors:\s", paragraph, maxsplit=1)
        if text.strip():
            yield marked(text)
        for errors_ in rest:
            yield ""
            yield "**Errors:** " + marked(errors_)
        return
    for name, text in (row.groups() for row in columns if row):
        yield marked(f"`{name}`")
        yield "    " + marked(text)
        yield ""


def marked(text: str) -> str:
    """One line: code as code, the names of errors and methods as links, and all else as it is."""
    parts = re.split(r"`([^`]+)`", " ".join(text.split()))
    for at in range(0, len(parts), 2):
        escaped = re.sub(r"[*|\\]|_(?!\w)", r"\\\g<0>", parts[at])
        linked = ERRORS.sub(r":class:`~cyberdb_fast.errors.\1`", escaped)
        parts[at] = METHODS.sub(r":obj:`\1 <cyberdb_fast.\1>`", linked)
    parts[1::2] = [f"``{part}``" for part in parts[1::2]]
    return "".join(parts)


def without_constructor(
    _app: Any, what: str, name: str, _what_it_is: Any, _options: Any, arguments: Optional[str], result: Optional[str]
) -> Tuple[Optional[str], Optional[str]]:
    """Leaves out the arguments of classes that users do not construct."""
    if arguments and what in ("class", "exception") and not name.endswith(CONSTRUCTED):
        return "", None
    return arguments, result


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("source-read", complete)
    app.connect("autodoc-process-docstring", lay_out)
    app.connect("autodoc-process-signature", without_constructor)
