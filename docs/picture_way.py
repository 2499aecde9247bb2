"""The picture of the way from text to a published model: its seven steps, what each leaves, how long each took."""

from drawing import THEMES, as_svg, drawing
from results import Word, result

# Name of the step in release/results/quickstart.json, the command, what it leaves.
STEPS = (
    ("dataset", "data build", "text with licence and source"),
    ("tokenizer", "tokenizer train", "tokenizer.json and chat template"),
    ("training", "train pretrain", "weights, every step's loss"),
    ("weights", "weights verify", "every byte checked"),
    ("export", "hub export", "cards, code, digests"),
    ("publish", "hub publish", "a tag that never moves"),
    ("proof", "hub verify", "loaded elsewhere: same logits"),
)

KOREAN = {
    "dataset": "데이터셋",
    "tokenizer": "토크나이저",
    "training": "학습",
    "weights": "가중치",
    "export": "내보내기",
    "publish": "공개",
    "proof": "증명",
    "text with licence and source": "라이선스와 출처가 있는 글",
    "tokenizer.json and chat template": "tokenizer.json과 채팅 템플릿",
    "weights, every step's loss": "가중치와 단계별 손실",
    "every byte checked": "모든 바이트를 확인",
    "cards, code, digests": "카드, 코드, 다이제스트",
    "a tag that never moves": "움직이지 않는 태그",
    "loaded elsewhere: same logits": "다른 곳에서 불러와도 같은 로짓",
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
    figure, axes = pyplot.subplots(figsize=(11, 4.4))
    axes.set(xlim=(0, 110), ylim=(0, 44), position=(0, 0, 1, 1))
    axes.axis("off")
    width, height, places = 22.5, 13, [(14 + 27.3 * (n % 4), 32.5 - 20.5 * (n // 4)) for n in range(len(STEPS))]
    for number, ((step, command, leaves), (x, y)) in enumerate(zip(STEPS, places, strict=True), 1):
        corner = (x - width / 2, y - height / 2)
        style = {"boxstyle": "round,pad=0,rounding_size=1", "edgecolor": ours, "facecolor": "none", "lw": 1.3}
        axes.add_patch(FancyBboxPatch(corner, width, height, **style))
        centred = {"ha": "center", "va": "center"}
        axes.text(x, y + 3.8, f"{number}  {word(step)}", weight="bold", fontsize=12, **centred)
        axes.text(x, y + 0.4, f"axk1 {command}", family="monospace", fontsize=10, color=ours, **centred)
        axes.text(x, y - 3.6, word(leaves), fontsize=9, **centred)
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
    axes.text(places[-1][0] + width / 2, 2.2, total, fontsize=9, color=other, ha="right", va="center")
    return as_svg(pyplot, figure)
