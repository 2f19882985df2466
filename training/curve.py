"""The loss curve of a run as SVG.

Input: lists of (tokens seen, loss). Output: the text of an SVG file.
"""

from collections.abc import Sequence

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT, LEFT, BOTTOM, MARGIN = 720, 400, 50, 40, 15


def loss_curve(training: Points, held_out: Points, title: str) -> str:
    """Return a chart of both losses over the tokens seen, in millions."""
    points = [*training, *held_out] or [(1.0, 1.0)]
    most_tokens = max(x for x, _ in points) or 1.0
    # The loss starts above 8; a scale limited to 4 keeps the later part readable.
    top = min(4.0, max(y for _, y in points)) or 1.0

    def place(tokens: float, loss: float) -> str:
        x = LEFT + (WIDTH - LEFT - MARGIN) * tokens / most_tokens
        y = MARGIN + (HEIGHT - BOTTOM - MARGIN) * (1 - min(loss, top) / top)
        return f"{x:.1f},{y:.1f}"

    def line(series: Points, color: str) -> str:
        path = " ".join(place(tokens, loss) for tokens, loss in series)
        return f'<polyline fill="none" stroke="{color}" stroke-width="1.5" points="{path}"/>'

    def text(x: float | str, y: float | str, anchor: str, content: str) -> str:
        return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{content}</text>'

    size = f'viewBox="0 0 {WIDTH} {HEIGHT}"'
    style = 'font-family="sans-serif" font-size="12" fill="#444"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
    ]
    for quarter in range(5):
        tokens, loss = most_tokens * quarter / 4, top * quarter / 4
        x, y = place(tokens, loss).split(",")
        parts += [
            f'<path stroke="#ddd" d="M{LEFT} {y}H{WIDTH - MARGIN}"/>',
            text(LEFT - 6, y, "end", f"{loss:.2f}"),
            text(x, HEIGHT - BOTTOM + 16, "middle", f"{tokens / 1e6:.1f} M"),
        ]
    key = '<tspan fill="#8ab">training</tspan>, <tspan fill="#c40">held out</tspan>'
    parts += [
        line(training, "#8ab"),
        line(held_out, "#c40"),
        text(LEFT, HEIGHT - 6, "start", f"{title}; loss over tokens: {key}"),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"
