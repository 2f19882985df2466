"""The training pipeline, from documents to a GGUF file, on a toy setting."""

import itertools
import json
import random
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
np = pytest.importorskip("numpy")
gguf = pytest.importorskip("gguf")
tokenizers = pytest.importorskip("tokenizers")

from training import average, checkpoint, export, tokenizer, train  # noqa: E402  (they import the above)
from training.batches import PROMPT_WEIGHT, Corpus, Position, TurnWeights  # noqa: E402
from training.corpus.documents import documents  # noqa: E402
from training.model import SIZES, Config, Llama  # noqa: E402

# Warnings of torch and gguf are not errors.
pytestmark = pytest.mark.filterwarnings("default")

VOCABULARY = 512


def run_training(run: Path, *options: str) -> checkpoint.Progress:
    train.main([str(run), "--size", "toy", "--eager", "--report-every", "2", *options])
    return checkpoint.Progress(**checkpoint.read(run)["progress"])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory with a tokenizer, an encoded corpus and a network trained for a moment."""
    folder = tmp_path_factory.mktemp("training")
    corpus = folder / "corpus.jsonl"
    lines = [json.dumps(text) + "\n" for text in documents(600, seed=1)]
    corpus.write_text("".join(lines), encoding="utf-8")
    run = folder / "run"
    tokenizer.main([str(corpus), str(run), "--vocabulary", str(VOCABULARY)])
    run_training(run, "--minutes", "0.03")
    return run


@pytest.fixture(scope="module")
def model(run: Path) -> Path:
    out = run / "toy.gguf"
    export.main([str(run), str(out)])
    return out


def test_encoded_documents_decode_to_the_same_text(run: Path) -> None:
    vocabulary = tokenizers.Tokenizer.from_file(str(run / "tokenizer.json"))
    text = next(documents(1, seed=7)) + " Grüß dich! 😀"
    tokens, offsets = tokenizer.encode_corpus(vocabulary, [text])
    assert tokens[0] == tokenizer.END_ID
    assert list(offsets) == [0, len(tokens)]
    assert vocabulary.decode(tokens[1:].tolist()) == text


def test_blank_at_the_end_of_a_prompt_is_one_token(run: Path) -> None:
    vocabulary = tokenizers.Tokenizer.from_file(str(run / "tokenizer.json"))
    text = "\n\nHuman: Hi\n\nAssistant: Hello!\n\nHuman:"
    blank = tokenizer.blank_to_split_at(text, random.Random(0))
    assert blank is not None
    ids = tokenizer.encode_split(vocabulary, text, blank)
    prompt = vocabulary.encode(text[: blank + 1]).ids
    assert ids[: len(prompt)] == prompt
    assert vocabulary.decode(ids) == text


def test_batches_do_not_depend_on_the_shape_of_earlier_ones(run: Path) -> None:
    one, other = Corpus(run), Corpus(run)
    one.next(8, 512)
    other.next(2, 2048)
    assert one.position == other.position == Position(0, 4096)
    fresh = Corpus(run)
    fresh.seek(Position(0, 4096))
    batch = one.next(2, 2048)
    assert torch.equal(fresh.next(2, 2048).ids, batch.ids)
    assert torch.equal(batch.ids.flatten()[1:], batch.targets.flatten()[:-1])


def test_human_turns_have_a_low_weight_and_answers_full_weight(run: Path) -> None:
    vocabulary = tokenizers.Tokenizer.from_file(str(run / "tokenizer.json"))
    turns = [
        (False, "Be brief.\n\nHuman:"),
        (True, " Hi\n\nAssistant:"),
        (False, " Hey.\n\nHuman:"),
    ]
    turns += [(True, " A\n\nAssistant:"), (False, " B\n\nHuman:")]
    ids, expected = [tokenizer.END_ID], [1.0]
    for human, text in turns:
        ids += vocabulary.encode(text).ids
        expected += [PROMPT_WEIGHT if human else 1.0] * (len(ids) - len(expected))
    ids += [tokenizer.END_ID, *vocabulary.encode("Plain text.").ids]
    expected += [1.0] * (len(ids) - len(expected))
    assert TurnWeights(vocabulary).of(np.array(ids)).tolist() == pytest.approx(expected)


def test_weighted_loss_ignores_tokens_of_weight_zero() -> None:
    network = Llama(Config(vocabulary=64, context=8, **SIZES["toy"]))
    ids, targets = torch.randint(0, 64, (2, 1, 8))
    weights = torch.tensor([[1.0, 1, 1, 1, 0, 0, 0, 0]])
    with torch.no_grad():
        part = network(ids[:, :4], targets[:, :4])
        assert torch.allclose(network(ids, targets, weights), part, atol=1e-6)


def test_words_of_random_tokens_are_copied_token_by_token(run: Path) -> None:
    vocabulary = tokenizers.Tokenizer.from_file(str(run / "tokenizer.json"))
    seen = np.zeros(VOCABULARY)
    (ids,) = tokenizer.drawn_documents(vocabulary, seen, 1, random.Random(1))
    assert any(ids.count(token) > 1 for token in ids)
    drawn = list(tokenizer.drawn_documents(vocabulary, seen, 3000, random.Random(1)))
    words = [t for t, n in vocabulary.get_vocab().items() if t.isascii() and t.isalpha()]
    written = {token for ids in drawn for token in ids}
    assert {vocabulary.token_to_id(word) for word in words} <= written


def test_attention_is_causal() -> None:
    network = Llama(Config(vocabulary=64, context=1200, **SIZES["toy"]))
    ids = torch.randint(0, 64, (1, 1200))
    changed = ids.clone()
    changed[0, 900:] = 0
    with torch.no_grad():
        assert torch.allclose(network(ids)[0, :900], network(changed)[0, :900], atol=1e-5)
        assert not torch.allclose(network(ids)[0, 900:], network(changed)[0, 900:], atol=1e-5)


def test_training_reduces_the_loss_and_resumes(run: Path) -> None:
    before = checkpoint.Progress(**checkpoint.read(run)["progress"])
    after = run_training(run, "--minutes", "0.06", "--resume")
    assert after.step > before.step
    assert after.training_loss[: len(before.training_loss)] == before.training_loss
    assert after.held_out_loss[-1][1] < before.held_out_loss[-1][1]
    assert (run / "loss.svg").read_text(encoding="utf-8").startswith("<svg")


def test_init_starts_with_the_weights_of_another_run(run: Path, tmp_path: Path) -> None:
    for name in ("tokenizer.json", "tokens.npy", "offsets.npy"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    begun = run_training(tmp_path, "--minutes", "0.0001", "--init", str(run))
    trained = checkpoint.Progress(**checkpoint.read(run)["progress"])
    assert begun.step == 1
    assert begun.held_out_loss[-1][1] == pytest.approx(trained.held_out_loss[-1][1], rel=0.2)


def test_time_of_a_stopped_process_does_not_count(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = checkpoint.Progress(**checkpoint.read(run)["progress"])
    clock = itertools.count(0.0, 1000.0)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    minutes = str(before.seconds / 60 + 1)
    after = run_training(run, "--minutes", minutes, "--resume")
    assert after.step - before.step == 60 / train.LONGEST_STEP


def test_exported_metadata_describes_the_model_and_not_the_machine(model: Path, run: Path) -> None:
    fields = {name: field.contents() for name, field in gguf.GGUFReader(model).fields.items()}
    assert fields["general.architecture"] == "llama"
    assert fields["general.name"] == "tenuto-mini"
    assert fields["general.license"] == "Apache-2.0"
    assert fields["llama.context_length"] == 2048
    assert fields["tokenizer.ggml.model"] == "gpt2"
    assert fields["tokenizer.ggml.pre"] == "smollm"
    assert fields["tokenizer.ggml.bos_token_id"] == fields["tokenizer.ggml.eos_token_id"] == 0
    assert fields["tokenizer.ggml.add_bos_token"] is True
    assert fields["tokenizer.ggml.tokens"][0] == tokenizer.END_TOKEN
    assert len(fields["tokenizer.ggml.tokens"]) == VOCABULARY
    assert str(run.parent).encode() not in model.read_bytes()


def test_average_of_runs_is_their_mean(run: Path, tmp_path: Path) -> None:
    other, mean = tmp_path / "other", tmp_path / "mean"
    average.main([str(other), f"{run}:1.0"])
    state = checkpoint.read(other)
    state["model"] = {name: weight + 1 for name, weight in state["model"].items()}
    torch.save(state, other / checkpoint.FILE)
    average.main([str(mean), f"{run}:0.75", f"{other}:0.25"])
    before, after = checkpoint.read(run)["model"], checkpoint.read(mean)["model"]
    assert all(torch.allclose(after[name], before[name] + 0.25, atol=1e-5) for name in before)
    with pytest.raises(ValueError, match="add up to 1"):
        average.main([str(mean), f"{run}:0.75", f"{other}:0.75"])


def test_weights_survive_the_export(model: Path, run: Path) -> None:
    network = checkpoint.read_model(run)
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(model).tensors}
    assert "output.weight" not in tensors  # tied to the embedding
    stored = tensors["blk.1.ffn_down.weight"]
    back = gguf.quants.dequantize(stored.data, stored.tensor_type)
    weight = network.blocks[1].get_parameter("down.weight").detach().numpy()
    assert abs(back - weight).max() < abs(weight).max() / 100


def test_the_engine_loads_the_file_and_splits_text_alike(model: Path, run: Path) -> None:
    pytest.importorskip("openvino_genai")
    from training.engine import OpenVino

    engine = OpenVino(model, threads=1)
    vocabulary = tokenizers.Tokenizer.from_file(str(run / "tokenizer.json"))
    for text in ("\n\nHuman: Hello, world!\n\nAssistant:", "a\n\n\nb  c ", "Grüß dich! 😀"):
        assert engine.encode(text) == vocabulary.encode(text).ids
    answers = engine.complete(["\n\nHuman: Hi\n\nAssistant:", "Once"], 0.7, max_tokens=5)
    assert len(answers) == 2
