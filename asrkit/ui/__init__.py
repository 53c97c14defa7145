"""The page. Gradio only: one file a tab, callbacks of a few lines that call the rooms below.

Never imports torch: the page is up before it loads. Gradio reads this setting when it is imported, so it is made here.
"""

import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
