"""``python -m fastloss info``."""

import sys

from fastloss import info


def main() -> int:
    if sys.argv[1:] != ["info"]:
        asked = sys.argv[1:] in (["-h"], ["--help"])
        print("usage: python -m fastloss info", file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    for name, value in info().items():
        print(f"{name:16} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
