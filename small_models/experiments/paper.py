"""The paper's own numbers, to print beside ours.

All from arXiv 2507.16116v2: VBench-I2V, 750 videos, 10 steps; Total unless said otherwise.
"""

PUBLISHED: dict[str, list[str]] = {
    "suite": ["No counterpart: VBench's scores are learned, these are exact."],
    "cost": [
        "Table 5a, 480p: Wan's way 75.01 / 74.02 / 73.29 / 73.21 after 150 / 300 / 600 / 900 iterations; VTA with all "
        "weights 83.78 / 83.35 / 85.21 / 84.06; VTA with LoRA 81.62 (150) to 87.09 (900).",
        "The 1/200 claim compares VTA's 7,200 samples with Wan-I2V's whole training (at least 10 million samples, the "
        "authors' estimate), not with the same fine-tuning budget.",
    ],
    "preserved": ["Said to be non-destructive; text-to-video is shown (Fig. 14) and not measured."],
    "forgetting": ["Said to be non-destructive; text-to-video is shown (Fig. 14) and not measured."],
    "timestep_samplers": [
        "Table 2, 900 iterations, strength 1.4 (1.0): independent 87.69 (81.78), PTSS 0.8 85.98 (80.71), PTSS 0.5 "
        "86.38 (79.63), PTSS 0.2 81.57 (77.96), first frame clean and the rest alike 72.54 (73.27).",
    ],
    "lora": [
        "Table 4a, 750 iterations, strength 1.0 / 1.4 / 1.7 / 2.0: rank 256 79.75 / 83.12 / 85.86 / 84.22; rank 512 "
        "80.17 / 86.46 / 87.11 / 85.98.",
        "Table 4c, best strength by iterations: 2.0 (150), 1.7 (450, 750), 1.4 (900, 1200). All weights: not done.",
    ],
    "steps": [
        "Table 4b, Total / Quality / I2V: 2 steps 79.92 / 67.97 / 91.87, 5: 86.03 / 77.59 / 94.48, 10: 87.69 / 80.55 / "
        "94.83, 20: 87.84 / 81.17 / 94.51.",
    ],
    "noise": ["No numbers: 0.2 is advised for image-to-video, 0.2 and 0.5 for start and end; pictures only (Fig. 9)."],
    "tasks": ["No numbers but image-to-video's (Table 1): Pusa 87.32, Wan-I2V 86.86."],
    "schedules": ["No numbers: the paper samples with one timestep for all free frames."],
    "learned": ["No counterpart: the paper samples with linear timesteps, one for all free frames."],
    "recipes": ["No counterpart: the paper trains with independent timesteps, and compares with no specialist."],
    "generalisation": [
        "Not asked. PhyWorld (arXiv 2411.02385), with one timestep for all frames: hardly any error in distribution; "
        "for unseen combinations one that shrinks as more are trained on; and a large one out of distribution, where "
        "models mimic the nearest case of training.",
    ],
    "inside": [
        "Figures only: Wan-I2V changes text embedding and cross-attention most, Pusa almost only self-attention and "
        "ten times less; Pusa's frames look at frame 0 at all steps, Wan-I2V's at the first.",
    ],
}
"""Table -> what the paper says."""
