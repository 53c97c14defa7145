"""`python -m asrkit ...`"""

import sys

from asrkit import startup

startup.check_python()
with startup.explain_missing_requirements():
    from asrkit.cli import main

if __name__ == "__main__":
    sys.exit(main())
