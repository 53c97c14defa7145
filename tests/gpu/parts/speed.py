"""Fast: training at full size against the plain `transformers.Trainer` recipe, and against packed batches.

The recipe gets the same model in memory, its clips decoded and normalised beforehand, mixed precision, batches by
length, loader processes and a fused optimizer, at the same number of seconds in an update. Packed batches are what the
model alone can do: random audio without padding that is on the GPU already, without loader, events or logging.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments

from asrkit.audio import SAMPLING_RATE
from asrkit.config import TrainConfig
from asrkit.data.manifest import Utterance
from asrkit.models import memory_format, processors
from asrkit.runs.store import RunStore
from asrkit.training import failures, lora
from asrkit.training.arguments import make_autocast, num_loader_workers, resolve_precision
from asrkit.training.data import Collator, SpeechDataset
from asrkit.training.model import load
from asrkit.training.trainer import CtcTrainer
from tests.gpu import models, speech
from tests.gpu.pack import Pack

WARM_STEPS = 5
MAX_WAITING, MIN_SPEEDUP, MIN_OF_PACKED = 0.05, 2.0, 0.85


@dataclass(frozen=True)
class Speed:
    """audio_s_per_s: without padding. waiting: share of the time in which the device had no batch."""

    audio_s_per_s: float
    peak_gb: float
    waiting: float
    steps: int


def run(
    pack: Pack, lengths: str, shape: str = "xls-r-300m", freeze: str = "feature-encoder", is_compiled: bool = False
) -> None:
    base = models.write_checkpoint(pack.folder / "base", shape, pack.is_small)
    clips_s = speech.draw_lengths(lengths, pack.pick(3600.0, 60.0))
    rows = speech.write_clips(pack.folder / "clips", clips_s)
    config = TrainConfig(
        preset="",
        model=str(base),
        train="callsigns",
        batch_seconds=pack.pick(update_seconds(pack.total_gb()), 20.0),
        learning_rate=1e-5,
        mask_time_prob=0.05,
        mask_time_length=2,
        freeze=freeze,
        num_epochs=10_000,
        max_steps=10**6,
        eval_on_start=False,
        eval_steps=10**6,
        save_steps=10**6,
        logging_steps=10,
        cache_gb=0,  # as with more data than any cache holds
    )
    seconds = pack.pick(20.0, 2.0)
    ours = measure_ours(pack, config, rows, seconds)
    add_speed(pack, "asrkit", ours)
    pack.measure("asrkit: share of the time that the GPU waits", ours.waiting, at_most=MAX_WAITING)
    recipe = measure_recipe(pack, config, rows, seconds)
    add_speed(pack, "recipe", recipe)
    pack.measure("recipe: share of the time that the GPU waits", recipe.waiting)
    pack.measure("asrkit against the recipe", ours.audio_s_per_s / recipe.audio_s_per_s, at_least=MIN_SPEEDUP)
    packed = measure_packed(pack, config, clips_s, seconds)
    add_speed(pack, "packed", packed)
    pack.measure("asrkit against packed batches", ours.audio_s_per_s / packed.audio_s_per_s, at_least=MIN_OF_PACKED)
    if freeze == "feature-encoder" and shape != "w2v-bert" and not pack.has_gpu:  # which has no cache
        cached = measure_ours(pack, dataclasses.replace(config, cache_gb=2.0), rows, seconds)
        add_speed(pack, "asrkit with its caches", cached)
    if is_compiled:
        compiled = measure_ours(pack, dataclasses.replace(config, torch_compile=True), rows, seconds)
        add_speed(pack, "asrkit, compiled", compiled)
        pack.measure("compiled against packed batches", compiled.audio_s_per_s / packed.audio_s_per_s)
    if shape == "xls-r-1b":
        measure_lora(pack, dataclasses.replace(config, freeze="lora", learning_rate=1e-4), rows, seconds)


def measure_lora(pack: Pack, config: TrainConfig, rows: list[Utterance], seconds: float) -> None:
    """Measure LoRA, its optimizer in 8 bits too, and compare the merged model with the one that was trained."""
    add_speed(pack, "LoRA", measure_ours(pack, config, rows, seconds))
    if pack.has_gpu and importlib.util.find_spec("bitsandbytes"):
        eight_bits = dataclasses.replace(config, optimizer="adamw-8bit")
        add_speed(pack, "LoRA, 8-bit optimizer", measure_ours(pack, eight_bits, rows, seconds))
    else:
        pack.skip("LoRA, 8-bit optimizer", "bitsandbytes is missing" if pack.has_gpu else "there is no GPU")
    processor, model = load(config.model, config, [])
    batch = Collator(processor)([SpeechDataset(rows, processor)[0]])
    batch.pop("about")
    inputs = {name: value.to(pack.device) for name, value in batch.items()}
    with torch.no_grad():
        for name, part in model.named_parameters():
            if ".lora_B." in name:
                part.normal_(std=0.01)
        expected = model.to(pack.device).eval()(**inputs).logits
        merged = lora.merged_state(model)
        _, plain = load(config.model, dataclasses.replace(config, freeze="nothing"), [])
        plain.load_state_dict(merged)
        found = plain.to(pack.device).eval()(**inputs).logits
    error = float((found - expected).norm() / expected.norm())
    pack.measure("LoRA: relative error of the merged model", error, at_most=2e-3, is_exact=True)


def update_seconds(memory_gb: float) -> float:
    """Return the seconds of audio in an update that fit the card and keep it busy."""
    return 320.0 if memory_gb > 70 else 80.0 if memory_gb > 30 else 30.0


def add_speed(pack: Pack, name: str, speed: Speed) -> None:
    pack.measure(f"{name}: speed", speed.audio_s_per_s, "s of audio a second", detail=f"{speed.steps} updates")
    pack.measure(f"{name}: peak memory", speed.peak_gb, "GB")


class Stopwatch(TrainerCallback):
    """Measures a Trainer from `WARM_STEPS` on, for some seconds, then stops it.

    The device waits from the end of an update until the next batch is there. On a GPU, events on its stream tell: the
    program itself may be far ahead of it.
    """

    def __init__(self, pack: Pack, seconds: float) -> None:
        self.pack, self.seconds = pack, seconds
        self.audio_s, self.steps, self.started = 0.0, 0, 0.0
        self.elapsed_s, self.waiting_s = 0.0, 0.0
        self._gaps: list[tuple[Any, Any]] = []
        self._end_of_update: Any = None

    def attach(self, trainer: Trainer, count_audio_s: Callable[[dict[str, Any]], float]) -> None:
        """Observe a trainer. count_audio_s: returns the seconds of audio in a batch, and removes what only it needs."""
        compute = trainer.training_step

        def training_step(model: Any, inputs: dict[str, Any], *arguments: Any) -> Any:
            if self._end_of_update is not None:
                self._gaps.append((self._end_of_update, self._mark()))
                self._end_of_update = None
            audio_s = count_audio_s(inputs)
            if self.started:
                self.audio_s += audio_s
            return compute(model, inputs, *arguments)

        trainer.training_step = training_step  # type: ignore[method-assign]
        trainer.add_callback(self)

    def _mark(self) -> Any:
        """Return the present moment: on a GPU, when it has done what it was given so far."""
        if not self.pack.has_gpu:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        if state.global_step == WARM_STEPS:
            self.pack.synchronize()
            self.started = time.perf_counter()
        elif self.started:
            self.steps += 1
            control.should_training_stop |= time.perf_counter() - self.started > self.seconds
        if self.started:
            self._end_of_update = self._mark()
        return control

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.pack.synchronize()
        self.elapsed_s = time.perf_counter() - self.started
        self.waiting_s = sum(
            start.elapsed_time(end) / 1000 if self.pack.has_gpu else end - start for start, end in self._gaps
        )

    def speed(self) -> Speed:
        return Speed(self.audio_s / self.elapsed_s, self.pack.peak_gb(), self.waiting_s / self.elapsed_s, self.steps)


def measure_ours(pack: Pack, config: TrainConfig, rows: list[Utterance], seconds: float) -> Speed:
    """Measure the loop of a run: decoding, batching by length, prefetching, events and logging."""
    run = RunStore(pack.folder / "runs").create(config)
    processor, model = load(config.model, config, [row.text for row in rows])
    pack.reset_peak()
    trainer = CtcTrainer(run, config, model, processor, rows, rows[:1])
    watch = Stopwatch(pack, seconds)
    watch.attach(trainer, lambda inputs: float(inputs["about"]["audio_seconds"]))
    trainer.train()
    if trainer.micro_batcher.num_parts > 1:
        pack.measure("asrkit: parts of a batch, for memory", trainer.micro_batcher.num_parts)
    return watch.speed()


class DecodedClips(Dataset[dict[str, Any]]):
    """Clips in memory, normalised and tokenised: what the recipe's `map` would have written."""

    def __init__(self, rows: list[Utterance], processor: Any) -> None:
        dataset = SpeechDataset(rows, processor)
        self.name = processor.feature_extractor.model_input_names[0]
        self.items = [dataset[index] for index in range(len(rows))]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        item = self.items[index]
        return {self.name: item["features"], "labels": item["labels"], "audio_seconds": item["duration_s"]}


class RecipeCollator:
    """The recipe's `DataCollatorCTCWithPadding`: processor.pad for audio, -100 for labels."""

    def __init__(self, processor: Any) -> None:
        self.processor = processor

    def __call__(self, items: list[dict[str, Any]]) -> dict[str, Any]:
        name = self.processor.feature_extractor.model_input_names[0]
        batch = dict(
            self.processor.feature_extractor.pad(
                [{name: item[name]} for item in items], padding=True, return_tensors="pt"
            )
        )
        labels = self.processor.tokenizer.pad(
            [{"input_ids": item["labels"]} for item in items], padding=True, return_tensors="pt"
        )
        batch["labels"] = labels["input_ids"].masked_fill(labels["attention_mask"].ne(1), -100)
        batch["audio_seconds"] = torch.tensor(sum(item["audio_seconds"] for item in items))
        return batch


def measure_recipe(pack: Pack, config: TrainConfig, rows: list[Utterance], seconds: float) -> Speed:
    """Measure `transformers.Trainer` with its best flags, with more accumulation where its batches do not fit."""
    processor = processors.load_processor(config.model)
    clips = DecodedClips(rows, processor)
    batch_size = max(1, round(config.batch_seconds / statistics.mean(row.duration_s for row in rows)))
    accumulation = 1
    while True:
        try:
            return _measure_recipe(
                pack, config, processor, clips, max(1, batch_size // accumulation), accumulation, seconds
            )
        except RuntimeError as error:
            if not failures.is_out_of_memory(error) or accumulation >= batch_size:
                raise
        accumulation *= 2
        pack.free()
        pack.measure("recipe: accumulation, as its batch does not fit", accumulation)


def _measure_recipe(
    pack: Pack,
    config: TrainConfig,
    processor: Any,
    clips: DecodedClips,
    batch_size: int,
    accumulation: int,
    seconds: float,
) -> Speed:
    _, model = load(config.model, config, [])
    memory_format.use(model, "default")
    torch.backends.cuda.enable_cudnn_sdp(True)  # PyTorch's default, which loading the model has changed
    precision = resolve_precision("auto")
    known = {spec.name for spec in dataclasses.fields(TrainingArguments)}
    grouping = (
        {"train_sampling_strategy": "group_by_length"}
        if "train_sampling_strategy" in known
        else {"group_by_length": True}
    )
    arguments = TrainingArguments(
        output_dir=str(pack.folder / "recipe"),
        per_device_train_batch_size=batch_size,
        gradient_accumulation_steps=accumulation,
        learning_rate=config.learning_rate,
        max_steps=10**6,
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        optim="adamw_torch_fused",
        dataloader_num_workers=num_loader_workers(),
        dataloader_persistent_workers=bool(num_loader_workers()),
        logging_steps=config.logging_steps,
        save_strategy="no",
        eval_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        use_cpu=not pack.has_gpu,
        **grouping,
    )
    pack.reset_peak()
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=clips,
        data_collator=RecipeCollator(processor),
        processing_class=processor.feature_extractor,
    )
    watch = Stopwatch(pack, seconds)
    seconds_of_batches: list[torch.Tensor] = []

    def count(inputs: dict[str, Any]) -> float:
        """Keep the seconds for later: reading them from the GPU now would hold the recipe up."""
        audio_s = inputs.pop("audio_seconds")
        if watch.started:
            seconds_of_batches.append(audio_s)
        return 0.0

    watch.attach(trainer, count)
    trainer.train()
    memory_format.avoid_attention_plans()
    watch.audio_s = float(torch.stack(seconds_of_batches).sum())
    return watch.speed()


def measure_packed(pack: Pack, config: TrainConfig, clips_s: list[float], seconds: float) -> Speed:
    """Measure forward, backward and optimizer step on batches without padding that are on the device already."""
    processor, model = load(config.model, config, [])
    model.to(pack.device).train()
    pack.reset_peak()
    length_s = statistics.median(clips_s)
    num_clips = max(1, round(config.batch_seconds / length_s))
    batches = [make_packed_batch(pack, processor, num_clips, length_s, seed) for seed in range(4)]
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=config.learning_rate, fused=True)
    precision = resolve_precision("auto")
    scaler = torch.amp.GradScaler(pack.device.type, enabled=precision == "fp16")
    steps, started = 0, 0.0
    while not started or time.perf_counter() - started < seconds:
        if steps == WARM_STEPS:
            pack.synchronize()
            started = time.perf_counter()
        with make_autocast(pack.device.type, precision):
            loss = model(**batches[steps % len(batches)]).loss
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        steps += 1
        if steps % 8 == 0:  # the program must not run ahead of the time limit
            pack.synchronize()
    pack.synchronize()
    elapsed_s = time.perf_counter() - started
    audio_s = (steps - WARM_STEPS) * num_clips * length_s
    return Speed(audio_s / elapsed_s, pack.peak_gb(), 0.0, steps - WARM_STEPS)


def make_packed_batch(
    pack: Pack, processor: Any, num_clips: int, length_s: float, seed: int
) -> dict[str, torch.Tensor]:
    """Return a batch of clips of noise of one length on the device, without a mask."""
    rng = np.random.default_rng(seed)
    clips = [rng.standard_normal(round(length_s * SAMPLING_RATE)).astype(np.float32) for _ in range(num_clips)]
    extractor = processor.feature_extractor
    features = extractor(clips, sampling_rate=SAMPLING_RATE, return_tensors="pt")
    name = extractor.model_input_names[0]
    labels = [processor.tokenizer(speech.make_text(length_s, rng)).input_ids for _ in range(num_clips)]
    width = min(map(len, labels))
    batch = {name: features[name], "labels": torch.tensor([row[:width] for row in labels])}
    return {key: value.to(pack.device) for key, value in batch.items()}
