"""The picture of a layer: its way through norms, latent attention and experts, every number from AXK1Config."""

from typing import Any

from drawing import PARTS, THEMES, as_svg, drawing
from results import Word

from modeling_axk1.model.configuration_axk1 import AXK1Config

KOREAN = {
    "A layer": "층 하나",
    "Latent attention (MLA)": "잠재 어텐션 (MLA)",
    "Mixture of experts (MoE)": "전문가 혼합 (MoE)",
    "{hidden} numbers a token": "토큰마다 수 {hidden}개",
    "RMSNorm": "RMSNorm",
    "latent attention": "잠재 어텐션",
    "mixture of experts\nlayers {first}": "전문가 혼합\n{first}층",
    "layer {dense_layers}: dense MLP,": "{dense_layers}층: 밀집 MLP,",
    "{dense} wide": "폭 {dense}",
    "RMSNorm\nlayers {first} only": "RMSNorm\n{first}층에만",
    "to the next of {layers} layers": "다음 층으로, 모두 {layers}층",
    "query latent\n{query}": "쿼리 잠재\n{query}",
    "latent\n{latent}": "잠재 벡터\n{latent}",
    "rotary key\n{rope}": "회전 키\n{rope}",
    "cached: {cached} numbers a token": "캐시: 토큰마다 수 {cached}개",
    "queries of {heads} heads\n{nope} + {rope} rotary": "헤드 {heads}개의 쿼리\n{nope} + 회전 {rope}",
    "keys, values of {heads} heads\n{nope} + {value}": "헤드 {heads}개의 키와 값\n{nope} + {value}",
    "attention of {heads} heads": "헤드 {heads}개의 어텐션",
    "{heads} x {value}, back to {hidden}": "{heads} x {value}에서 {hidden}로",
    "router: {experts} sigmoid scores": "라우터: 시그모이드 점수 {experts}개",
    "best {top_groups} of {groups} groups, in them the best {chosen} experts": (
        "그룹 {groups}개 중 {top_groups}개, 그 안에서 전문가 {chosen}개"
    ),
    "{chosen} experts, {expert} wide\nweights add up to {scale}": "전문가 {chosen}개, 폭 {expert}\n가중치 합 {scale}",
    "shared expert\nfor every token": "공유 전문가\n모든 토큰",
}


class _Canvas:
    """Boxes and arrows on a plane of tenths of an inch, words in the page's language with the config's numbers."""

    def __init__(self, word: Word, theme: str, numbers: dict[str, str]) -> None:
        self.word, self.numbers = word, numbers
        self.ink, self.blue, self.orange = THEMES[theme]
        self.green = PARTS[theme][2]
        self.pyplot = drawing(theme)
        self.figure, self.axes = self.pyplot.subplots(figsize=(7.8, 10.2))
        self.axes.set(xlim=(0, 78), ylim=(0, 102), position=(0, 0, 1, 1))
        self.axes.axis("off")

    def say(self, text: str) -> str:
        return self.word(text).format(**self.numbers)

    def text(self, x: float, y: float, text: str, **look: Any) -> None:
        look = {"ha": "center", "va": "center", "fontsize": 10, **look}
        lines = self.say(text).split("\n")
        # Line by line: the drawer lacks Korean, so it cannot know how wide the others are.
        for number, line in enumerate(lines):
            self.axes.text(x, y + 2.4 * ((len(lines) - 1) / 2 - number), line, **look)

    def box(self, x: float, y: float, width: float, height: float, text: str, colour: str | None = None) -> None:
        """Draw a box around (x, y), tinted where it has a colour."""
        from matplotlib.patches import FancyBboxPatch

        corner = (x - width / 2, y - height / 2)
        edge = colour or self.ink
        style = {"boxstyle": "round,pad=0,rounding_size=0.8", "edgecolor": edge, "lw": 1.2}
        self.axes.add_patch(FancyBboxPatch(corner, width, height, facecolor="none", **style))
        if colour:
            self.axes.add_patch(
                FancyBboxPatch(corner, width, height, facecolor=colour, alpha=0.15, **style | {"lw": 0})
            )
        self.text(x, y, text)

    def line(self, *points: tuple[float, float], colour: str | None = None, head: bool = True) -> None:
        """Draw a line through points, with an arrow at its end."""
        colour = colour or self.ink
        self.axes.plot(*zip(*points, strict=True), color=colour, lw=1.2, solid_capstyle="butt")
        if head:
            arrow = {"arrowstyle": "-|>", "color": colour, "lw": 1.2, "shrinkA": 0, "shrinkB": 0}
            self.axes.annotate("", points[-1], points[-2], arrowprops=arrow)

    def plus(self, x: float, y: float) -> None:
        """Draw the sign where two streams are added."""
        self.axes.plot([x], [y], "o", mfc="none", mec=self.ink, ms=13, mew=1.2)
        self.axes.plot([x], [y], "+", color=self.ink, ms=8, mew=1.2)


def layer(word: Word, theme: str) -> str:
    """A sparse layer of the published model, as SVG."""
    config = AXK1Config()
    canvas = _Canvas(word, theme, _numbers(config))
    _stack(canvas)
    _attention(canvas)
    _experts(canvas, config)
    return as_svg(canvas.pyplot, canvas.figure)


def _numbers(config: AXK1Config) -> dict[str, str]:
    kinds = config.mlp_layer_types
    sparse = [number for number, kind in enumerate(kinds) if kind == "sparse"]
    dense = [number for number, kind in enumerate(kinds) if kind == "dense"]
    numbers = {
        "hidden": config.hidden_size,
        "dense": config.intermediate_size,
        "layers": config.num_hidden_layers,
        "query": config.q_lora_rank,
        "latent": config.kv_lora_rank,
        "rope": config.qk_rope_head_dim,
        "nope": config.qk_nope_head_dim,
        "value": config.v_head_dim,
        "cached": config.kv_lora_rank + config.qk_rope_head_dim,
        "heads": config.num_attention_heads,
        "experts": config.n_routed_experts,
        "groups": config.n_group,
        "top_groups": config.topk_group,
        "chosen": config.num_experts_per_tok,
        "expert": config.moe_intermediate_size,
    }
    return {name: f"{number:,}" for name, number in numbers.items()} | {
        "first": f"{sparse[0]}-{sparse[-1]}",
        "dense_layers": ", ".join(map(str, dense)),
        "scale": f"{config.routed_scaling_factor:g}",
    }


def _stack(canvas: _Canvas) -> None:
    """The left part: the layer as a whole, top to bottom, its residual stream at the side."""
    x, side = 14, 2
    canvas.text(x, 99, "A layer", weight="bold")
    canvas.text(x, 94.5, "{hidden} numbers a token")
    canvas.line((x, 93), (x, 83.2))
    canvas.box(x, 81, 18, 4, "RMSNorm")
    canvas.line((x, 79), (x, 72.2))
    canvas.box(x, 69, 18, 6, "latent attention", canvas.blue)
    canvas.line((x, 66), (x, 59.2))
    canvas.plus(x, 58)
    canvas.line((x, 89), (side, 89), (side, 58), (x - 1.2, 58))
    canvas.line((x, 56.8), (x, 46.2))
    canvas.box(x, 44, 18, 4, "RMSNorm")
    canvas.line((x, 42), (x, 35.2))
    canvas.box(x, 32, 18, 6, "mixture of experts\nlayers {first}", canvas.orange)
    canvas.line((x, 29), (x, 22.2))
    canvas.text(x + 1, 26.9, "layer {dense_layers}: dense MLP,", fontsize=9, ha="left")
    canvas.text(x + 1, 24.9, "{dense} wide", fontsize=9, ha="left")
    canvas.box(x, 19, 18, 6, "RMSNorm\nlayers {first} only", canvas.green)
    canvas.line((x, 16), (x, 10.2))
    canvas.plus(x, 9)
    canvas.line((x, 52), (side, 52), (side, 9), (x - 1.2, 9))
    canvas.line((x, 7.8), (x, 4.2))
    canvas.text(x, 2.6, "to the next of {layers} layers")


def _attention(canvas: _Canvas) -> None:
    """The upper right part: queries at the left, the cached latent and what is unfolded from it at the right."""
    from matplotlib.patches import FancyBboxPatch

    middle, query, latent, rope = 54, 41, 59, 69.5
    canvas.text(middle, 99, "Latent attention (MLA)", weight="bold", color=canvas.blue)
    canvas.text(middle, 94.5, "{hidden} numbers a token")
    for start, end in ((middle - 3, query), (middle + 3, latent), (middle + 5, rope)):
        canvas.line((start, 93), (end, 88.2))
    canvas.box(query, 85, 14, 6, "query latent\n{query}")
    canvas.box(latent, 85, 9, 6, "latent\n{latent}", canvas.blue)
    canvas.box(rope, 85, 10, 6, "rotary key\n{rope}", canvas.blue)
    frame = {"boxstyle": "round,pad=0,rounding_size=1.2", "edgecolor": canvas.blue, "facecolor": "none"}
    canvas.axes.add_patch(FancyBboxPatch((53, 77.4), 23, 12, linestyle="--", lw=1.2, **frame))
    canvas.text(64.5, 79.6, "cached: {cached} numbers a token", fontsize=9, color=canvas.blue)
    canvas.line((query, 82), (query, 73.2))
    canvas.line((latent, 77.4), (latent, 73.2))
    canvas.box(query, 70, 17, 6, "queries of {heads} heads\n{nope} + {rope} rotary")
    canvas.box(latent + 2.5, 70, 21, 6, "keys, values of {heads} heads\n{nope} + {value}")
    canvas.line((query, 67), (query, 63.2))
    canvas.line((latent, 67), (latent, 63.2))
    canvas.line((75, 77.4), (75, 61), (72.2, 61))
    canvas.box(middle - 1.5, 61, 39, 4, "attention of {heads} heads", canvas.blue)
    canvas.line((middle, 59), (middle, 56.2))
    canvas.box(middle, 54, 23, 4, "{heads} x {value}, back to {hidden}")


def _experts(canvas: _Canvas, config: AXK1Config) -> None:
    """The lower right part: a square an expert, a row a group; as an example some experts of some groups are chosen."""
    from matplotlib.patches import Rectangle

    left, width, top, row = 35.0, 28.0, 32.4, 1.8
    middle, shared = left + width / 2, 69.5
    canvas.text(54, 47, "Mixture of experts (MoE)", weight="bold", color=canvas.orange)
    canvas.text(middle, 43, "{hidden} numbers a token")
    canvas.line((middle, 41.5), (middle, 39.2))
    canvas.box(middle, 37, 24, 4, "router: {experts} sigmoid scores")
    canvas.line((middle, 35), (middle, top + 0.5))
    in_group = config.n_routed_experts // config.n_group
    step = width / in_group
    groups = range(0, config.n_group, config.n_group // config.topk_group)
    each = config.num_experts_per_tok // len(groups)
    for group in range(config.n_group):
        # Any pattern would do: which experts are chosen is the token's affair.
        chosen = {(7 * group + 11 * k + 3) % in_group for k in range(each)} if group in groups else set()
        for expert in range(in_group):
            look = {"facecolor": canvas.orange, "edgecolor": canvas.orange, "lw": 0.6}
            look["alpha"] = 1.0 if expert in chosen else 0.35 if group in groups else 0.1
            corner = (left + expert * step, top - (group + 1) * row)
            canvas.axes.add_patch(Rectangle(corner, step * 0.8, row * 0.72, **look))
    bottom = top - config.n_group * row
    canvas.text(
        middle, bottom - 1.2, "best {top_groups} of {groups} groups, in them the best {chosen} experts", fontsize=9
    )
    canvas.line((middle, bottom - 2.4), (middle, 13.2))
    canvas.box(middle, 10, 20, 6, "{chosen} experts, {expert} wide\nweights add up to {scale}", canvas.orange)
    canvas.line((middle + 10, 43), (shared, 43), (shared, 13.2))
    canvas.box(shared, 10, 13.5, 6, "shared expert\nfor every token", canvas.orange)
    canvas.line((middle, 7), (middle, 3.5), (57.8, 3.5))
    canvas.line((shared, 7), (shared, 3.5), (60.2, 3.5))
    canvas.plus(59, 3.5)
