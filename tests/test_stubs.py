"""The type stubs that editors read say what the functions say."""

import ast
import importlib.util

import pytest
import stubs

import fastloss as fl


@pytest.mark.parametrize("path", stubs.STUBS, ids=lambda path: path.name)
def test_stub_is_current(path):
    assert ast.dump(ast.parse(path.read_text())) == ast.dump(ast.parse(stubs.STUBS[path]())), (
        "run python tests/stubs.py && ruff format fastloss"
    )


def test_stub_names_everything_public():
    text = (stubs.ROOT / "__init__.pyi").read_text()
    missing = [name for name in fl.__all__ if f"{name}:" not in text and f"def {name}(" not in text]
    assert missing == []


def test_the_readme_shows_the_catalogue():
    path = stubs.ROOT.parent / "docs" / "catalogue.py"
    spec = importlib.util.spec_from_file_location("catalogue", path)
    catalogue = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(catalogue)
    text = catalogue.README.read_text()
    assert catalogue.updated(text) == text, "run python docs/catalogue.py --readme"
