"""Type stubs made from the losses' own signatures: ``python tests/stubs.py`` writes them, a test holds them to it.

A loss is a function with two more functions on it, which no annotation in the source could tell an editor.
"""

import inspect
import pathlib
import sys

import fastloss
import fastloss.nn

ROOT = pathlib.Path(__file__).parent.parent / "fastloss"
HEADER = '"""Made by tests/stubs.py from the signatures; do not edit."""\n\n'


def signature_text(function, result, first=()):
    parts, keyword_only = list(first), False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
            parts.append("*")
            keyword_only = True
        default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        parts.append(f"{parameter.name}: {parameter.annotation}{default}")
    inner = "".join(f"        {part},\n" for part in parts).replace("'", '"')
    return f"(\n{inner}    ) -> {result}: ..."


def class_name(name):
    return "_" + "".join(part.capitalize() for part in name.split("_"))


def package_stub():
    others = {name: getattr(fastloss, name) for name in sorted(set(fastloss.__all__) - set(fastloss.losses()))}
    results = {name: inspect.signature(function).return_annotation for name, function in others.items()}
    own = {}
    for name, result in results.items():
        module = others[name].__module__
        if result != "Any" and hasattr(sys.modules[module], result):
            own.setdefault(module, []).append(result)
    imports = "".join(f"from {module} import {', '.join(sorted(names))}\n" for module, names in sorted(own.items()))
    lines = [HEADER, f"from typing import Any\n\n{imports}\nfrom . import nn as nn\n\n__version__: str\n"]
    for name, function in fastloss.losses().items():
        lines.append(
            f"\nclass {class_name(name)}:\n"
            f"    def __call__{signature_text(function, 'Any', ['self'])}\n"
            f"    def value_and_grad{signature_text(function.value_and_grad, 'tuple[Any, Any]', ['self'])}\n"
            f"    def grad{signature_text(function.grad, 'Any', ['self'])}\n"
            f"\n{name}: {class_name(name)}\n"
        )
    for name, function in others.items():
        lines.append(f"\ndef {name}{signature_text(function, results[name])}\n".replace("'", '"'))
    return "".join(lines)


def nn_stub():
    lines = [HEADER, "from typing import Any\n\nimport torch\n"]
    for name, module in vars(fastloss.nn).items():
        if inspect.isclass(module) and issubclass(module, torch_module()) and not name.startswith("_"):
            parameters = inspect.signature(module.function).parameters
            arrays = [
                f"{name}: torch.Tensor{' | None = None' if parameters[name].default is None else ''}"
                for name in module._arguments
            ]
            # What may be asked for beside the loss makes a tuple of it.
            result = "Any" if any(option.startswith("return_") for option in parameters) else "torch.Tensor"
            call = f"(self, {', '.join(arrays)})"
            lines.append(
                f"\nclass {name}(torch.nn.Module):\n"
                f"    def __init__{signature_text(module, 'None', ['self'])}\n"
                f"    def forward{call} -> {result}: ...\n"
                f"    def __call__{call} -> {result}: ...\n"
            )
    return "".join(lines)


def torch_module():
    import torch

    return torch.nn.Module


STUBS = {ROOT / "__init__.pyi": package_stub, ROOT / "nn.pyi": nn_stub}

if __name__ == "__main__":
    for path, make in STUBS.items():
        path.write_text(make())
