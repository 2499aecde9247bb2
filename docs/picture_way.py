"""The picture of the way from text to a published model: its seven steps, what each leaves, how long each took."""

from drawing import THEMES, as_svg, drawing
from results import Word, result

# Name of the step in release/results/quickstart.json, the command, what it leaves.
STEPS = (
    ("dataset", "data build", "text with its licence\nand its source"),
    ("tokenizer", "tokenizer train", "tokenizer.json,\nchat template"),
    ("training", "train pretrain", "weights,\nevery step's loss"),
    ("weights", "weights verify", "every byte\nis checked"),
    ("export", "hub export", "cards, code,\ndigests"),
    ("publish", "hub publish", "a tag that\nnever moves"),
    ("proof", "hub verify", "loaded elsewhere:\nsame logits"),
)

KOREAN = {
    "dataset": "데이터셋",
    "tokenizer": "토크나이저",
    "training": "학습",
    "weights": "가중치",
    "export": "내보내기",
    "publish": "공개",
    "proof": "증명",
    "text with its licence\nand its source": "라이선스와 출처가\n적힌 글",
    "tokenizer.json,\nchat template": "tokenizer.json,\n채팅 템플릿",
    "weights,\nevery step's loss": "가중치,\n단계별 손실",
    "every byte\nis checked": "모든 바이트를\n확인",
    "cards, code,\ndigests": "카드, 코드,\n다이제스트",
    "a tag that\nnever moves": "움직이지 않는\n태그",
    "loaded elsewhere:\nsame logits": "다른 곳에서\n불러와도 같은 로짓",
    "{parameters} parameters, {cores} cores, no GPU: {seconds} s in all": (
        "파라미터 {parameters}개, 코어 {cores}개, GPU 없음: 모두 {seconds}초"
    ),
    "{seconds} s": "{seconds}초",
}


def way(word: Word, theme: str) -> str:
    """Two rows of boxes, left to right, with the seconds of the measured run."""
    from matplotlib.patches import FancyBboxPatch

    measured = result("quickstart")
    seconds = {name.split()[-1]: value for name, value in measured["step_seconds"].items()}
    pyplot = drawing(theme)
    ink, ours, other = THEMES[theme]
    figure, axes = pyplot.subplots(figsize=(9, 4.2))
    axes.set(xlim=(0, 90), ylim=(0, 42), position=(0, 0, 1, 1))
    axes.axis("off")
    width, height, places = 19, 14, [(12.5 + 22.4 * (n % 4), 31 - 20 * (n // 4)) for n in range(len(STEPS))]
    for number, ((step, command, leaves), (x, y)) in enumerate(zip(STEPS, places, strict=True), 1):
        corner = (x - width / 2, y - height / 2)
        style = {"boxstyle": "round,pad=0,rounding_size=1", "edgecolor": ours, "facecolor": "none", "lw": 1.3}
        axes.add_patch(FancyBboxPatch(corner, width, height, **style))
        centred = {"ha": "center", "va": "center"}
        axes.text(x, y + 4.6, f"{number}  {word(step)}", weight="bold", fontsize=12, **centred)
        axes.text(x, y + 1.2, f"axk1 {command}", family="monospace", fontsize=9.5, color=ours, **centred)
        for line, part in enumerate(word(leaves).split("\n")):  # each by itself: the drawer lacks Korean
            axes.text(x, y - 2.4 - 2.2 * line, part, fontsize=9, **centred)
        took = word("{seconds} s").format(seconds=f"{seconds[step]:.1f}")
        axes.text(x + width / 2, y + height / 2 + 1.4, took, fontsize=9, color=other, ha="right", va="center")
        if number < len(STEPS):
            ahead = places[number]
            arrow = {"arrowstyle": "-|>", "color": ink, "lw": 1.3, "shrinkA": 0, "shrinkB": 0}
            start, end = (x + width / 2, y), (ahead[0] - width / 2, ahead[1])
            if ahead[1] != y:  # to the next row
                turn = y - height / 2 - 2.6
                axes.plot([x, x, 1, 1], [y - height / 2, turn, turn, ahead[1]], color=ink, lw=1.3)
                start = (1, ahead[1])
            axes.annotate("", end, start, arrowprops=arrow)
    total = word("{parameters} parameters, {cores} cores, no GPU: {seconds} s in all").format(
        parameters=f"{measured['training']['parameters']:,}",
        cores=measured["machine"]["cores"],
        seconds=f"{measured['first_run_seconds']:.0f}",
    )
    axes.text(places[-1][0] + width / 2, 1.6, total, fontsize=9, color=other, ha="right", va="center")
    return as_svg(pyplot, figure)
