"""``python -m fastloss info``."""

import sys

from fastloss import info


def main() -> int:
    if sys.argv[1:] != ["info"]:
        print("usage: python -m fastloss info", file=sys.stderr)
        return 2
    for name, value in info().items():
        print(f"{name:16} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
