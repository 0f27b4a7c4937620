"""``python -m training.waveform train ...``; see :mod:`training.waveform.cli`."""

from __future__ import annotations

import sys

from training.waveform.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
