"""The look, once: colour tokens for Tailwind (values in assets/globals.css) and the classes of recurring parts.

Tailwind finds classes by reading the compiled pages, so each string here is whole and literal.
"""

from typing import Any

_COLOURS = (
    "background",
    "foreground",
    "card",
    "sidebar",
    "muted",
    "muted-foreground",
    "border",
    "input",
    "ring",
    "primary",
    "primary-foreground",
    "accent",
    "accent-soft",
    "destructive",
    "destructive-soft",
    "success",
    "success-soft",
    "warning",
    "warning-soft",
)

TAILWIND: dict[str, Any] = {
    "darkMode": "class",
    "theme": {
        "extend": {
            "colors": {name: f"var(--{name})" for name in _COLOURS},
            "borderRadius": {"DEFAULT": "var(--radius)"},
        }
    },
}

FOCUS = (
    "outline-none focus-visible:ring-2 focus-visible:ring-ring "
    "focus-visible:ring-offset-2 focus-visible:ring-offset-background"
)

_BUTTON = (
    "inline-flex items-center justify-center gap-2 rounded whitespace-nowrap text-sm font-medium transition-colors "
    "cursor-pointer disabled:pointer-events-none disabled:opacity-50 " + FOCUS + " "
)
BUTTON = _BUTTON + "h-9 px-4 bg-primary text-primary-foreground hover:bg-primary/90"
BUTTON_OUTLINE = _BUTTON + "h-9 px-4 border border-border bg-card text-foreground hover:bg-muted"
BUTTON_DANGER = _BUTTON + "h-9 px-4 bg-destructive text-white dark:text-black hover:bg-destructive/90"
BUTTON_SMALL = _BUTTON + "h-8 px-3 border border-border bg-card text-foreground hover:bg-muted"
BUTTON_SMALL_DANGER = _BUTTON + "h-8 px-3 border border-border bg-card text-destructive hover:bg-destructive-soft"
BUTTON_GHOST = _BUTTON + "h-8 px-2 text-muted-foreground hover:bg-muted hover:text-foreground"
BUTTON_ICON = _BUTTON + "size-9 text-muted-foreground hover:bg-muted hover:text-foreground"

INPUT = (
    "h-9 w-full min-w-0 rounded border border-input bg-card px-3 text-sm text-foreground transition-shadow "
    "placeholder:text-muted-foreground disabled:opacity-50 aria-invalid:border-destructive "
    "outline-none focus-visible:ring-2 focus-visible:ring-ring"
)
TEXTAREA = (
    "w-full min-w-0 rounded border border-input bg-card px-3 py-2 text-sm text-foreground transition-shadow "
    "placeholder:text-muted-foreground disabled:opacity-50 "
    "outline-none focus-visible:ring-2 focus-visible:ring-ring"
)
SELECT = INPUT + " pr-8 appearance-none operis-select cursor-pointer"
LABEL = "text-sm font-medium text-foreground"
HINT = "text-xs text-muted-foreground"

CARD = "rounded-lg border border-border bg-card"
LINK = "font-medium text-accent hover:underline underline-offset-4 rounded-sm " + FOCUS
NUMBER = "tabular-nums whitespace-nowrap"
CODE = "font-mono text-[13px]"
