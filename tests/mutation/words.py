"""In a folder where mutmut made its mutants: which of them change nothing but the words of an error or a log.

    python -m tests.mutation.words --skip      marks them as skipped, so that no test is run for them
    python -m tests.mutation.words --diffs     the diffs of the mutants that standard input names, as JSON

What an error or a log says is for people and is read by people; an error's class, its code and the field that
it names are for programs, and stay mutated.
"""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import (
    get_diff_for_mutant,
    read_mutant_function,
    read_mutants_module,
    read_original_function,
)
from mutmut.utils.file_utils import walk_mutatable_files

SKIPPED = 34
"""mutmut's own code for it."""


_TOLD = {"Note", "debug", "info", "warning", "error"}
"""Calls whose texts are for a log."""


class _WithoutWords(ast.NodeTransformer):  # its methods' names are ast's own
    """Takes the last argument of what is raised, and every text that is logged, for words."""

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.exc, ast.Call) and node.exc.args:
            node.exc.args[-1] = _plain(node.exc.args[-1])
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if name in _TOLD:
            node.args = [_plain(argument) for argument in node.args]
        return node


def _plain(argument: ast.expr) -> ast.expr:
    passed_on = isinstance(argument, ast.Call) and getattr(argument.func, "id", "") == "str"
    text = (
        passed_on
        or isinstance(argument, ast.JoinedStr)
        or (isinstance(argument, ast.Constant) and isinstance(argument.value, str | None))
    )
    return ast.Constant("words") if text else argument


def _without_words(code: str) -> str:
    return ast.dump(_WithoutWords().visit(ast.parse(code)))


def skip() -> None:
    """Mark them where they have no verdict yet, or survived."""
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        if not data.exit_code_by_key:
            continue
        mutants = read_mutants_module(path)
        for name, verdict in data.exit_code_by_key.items():
            if verdict in (None, 0):
                codes = [
                    mutants.code_for_node(read(mutants, name))
                    for read in (read_original_function, read_mutant_function)
                ]
                original, mutated = (_without_words(code.strip()) for code in codes)
                # The name of the function is the one thing that always differs.
                if original == mutated.replace(name.rpartition(".")[2], original.split("'")[1]):
                    data.exit_code_by_key[name] = SKIPPED
        data.save()


def diffs() -> None:
    """Print them."""
    print(json.dumps({name: get_diff_for_mutant(name) for name in json.load(sys.stdin)}))


if __name__ == "__main__":
    assert Path("mutants").is_dir()
    skip() if sys.argv[1] == "--skip" else diffs()
