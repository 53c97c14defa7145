"""The page. Gradio only: one file a tab, callbacks of a few lines that call the rooms below.

Never imports torch: the page is up before it loads. Gradio reads these settings when it is imported, so they are made
here.
"""

import os

from asrkit.ui.gradio_stubs import skip_stubs

skip_stubs()
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
