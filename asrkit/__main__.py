"""`python -m asrkit ...`"""

import sys

from asrkit import startup

startup.check_python()
startup.exit_on_interrupt()
with startup.explain_missing_requirements():
    from asrkit.cli import main

if __name__ == "__main__":
    sys.exit(startup.run_interruptibly(main))
