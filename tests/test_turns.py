"""One model in several threads: one trains, and others see weights that belong together."""

import copy
import multiprocessing
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest

import fastmlp
from fastmlp import Dense, Input, Sequential
from fastmlp.callbacks import LambdaCallback
from fastmlp.errors import ModelBusyError, TrainingDivergedError

pytestmark = pytest.mark.jit_only

ROWS = np.random.default_rng(5).normal(size=(3000, 30)).astype(np.float32)
TARGETS = np.tanh(ROWS[:, :7] * ROWS[:, 7:14])


def make_model(seed=0):
    model = Sequential([Input((30,)), Dense(200, "relu"), Dense(100, "tanh"), Dense(7)], seed=seed)
    model.compile("adam", "mse")
    return model


@contextmanager
def in_threads(function, count):
    """Have threads call a function again and again; it gets whether the block is over, and they must end well."""
    over = threading.Event()

    def again():
        results = []
        while not over.is_set():
            results.append(function())
        return results

    with ThreadPoolExecutor(count) as pool:
        futures = [pool.submit(again) for _ in range(count)]
        found = []
        try:
            yield found
        finally:
            over.set()
        for future in futures:
            found += future.result(60)


def recorded(model, read, epochs=15, **arguments):
    """Fit, and return what ``read`` found before each epoch and after the last one, as bytes."""
    seen = []
    callback = LambdaCallback(on_epoch_begin=lambda epoch, logs: seen.append(read()))
    model.fit(ROWS, TARGETS, epochs=epochs, verbose=0, callbacks=[callback], **arguments)
    return {*seen, read()}


@pytest.mark.parametrize("rows", [1, 100, 3000])
def test_a_prediction_in_the_midst_of_training_has_the_weights_from_before_an_epoch(rows):
    model = make_model()

    def read():
        return model.predict(ROWS[:rows]).tobytes()

    with in_threads(read, 2) as found:
        allowed = recorded(model, read)
    assert set(found) <= allowed
    assert len(set(found)) >= 3, "nothing was predicted while the model changed"


@pytest.mark.parametrize("part", [lambda model: model, lambda model: model.layers[0]], ids=["model", "layer"])
def test_weights_read_in_the_midst_of_training_are_those_from_before_an_epoch(part):
    model = make_model()

    def read():
        return b"".join(weight.tobytes() for weight in part(model).get_weights())

    with in_threads(read, 2) as found:
        allowed = recorded(model, read)
    assert set(found) <= allowed
    assert len(set(found)) >= 3


def test_what_layers_make_in_the_midst_of_training_has_the_weights_from_before_an_epoch():
    model = make_model()

    def read():
        return b"".join(layer.z.tobytes() for layer in model.forward(ROWS[:50]))

    with in_threads(read, 1) as found:
        allowed = recorded(model, read)
    assert set(found) <= allowed
    assert len(set(found)) >= 3


def test_predictions_between_steps_of_another_thread_are_those_of_one_step():
    model = make_model()
    allowed = {model.predict(ROWS[:200]).tobytes()}
    with in_threads(lambda: model.predict(ROWS[:200]).tobytes(), 2) as found:
        for step in range(200):
            model.train_on_batch(ROWS[step : step + 64], TARGETS[step : step + 64])
            allowed.add(model.predict(ROWS[:200]).tobytes())
    assert set(found) <= allowed
    assert len(set(found)) >= 3


def test_new_weights_are_seen_as_a_whole():
    model = make_model()
    first, second = model.get_weights(), make_model(seed=1).get_weights()
    allowed = set()
    for weights in (first, second):
        model.set_weights(weights)
        allowed.add(model.predict(ROWS[:40]).tobytes())
    with in_threads(lambda: model.predict(ROWS[:40]).tobytes(), 2) as found:
        for _ in range(200):
            model.set_weights(first)
            model.set_weights(second)
    assert set(found) == allowed


def test_predictions_of_many_threads_have_the_bits_of_one():
    model = make_model()
    sizes = [1, 3, 64, 65, 1000, 3000, 2, 17]
    expected = [model.predict(ROWS[:size]).tobytes() for size in sizes]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(10):
            found = list(pool.map(lambda size: model.predict(ROWS[:size]).tobytes(), sizes))
            assert found == expected


def test_training_is_the_same_while_others_predict():
    alone, watched = make_model(), make_model()
    alone.fit(ROWS, TARGETS, epochs=5, verbose=0)
    with in_threads(lambda: watched.predict(ROWS[:500]), 3):
        watched.fit(ROWS, TARGETS, epochs=5, verbose=0)
    for expected, weight in zip(alone.get_weights(), watched.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_predictions_in_callbacks_have_the_present_weights():
    model, outputs = make_model(), []
    callback = LambdaCallback(
        on_epoch_end=lambda epoch, logs: outputs.append((model.predict(ROWS[:5]), copy.deepcopy(model)))
    )
    model.fit(ROWS, TARGETS, epochs=3, verbose=0, callbacks=[callback])
    for output, present in outputs:
        np.testing.assert_array_equal(output, present.predict(ROWS[:5]))


class Held:
    """A model whose ``fit`` another thread is in, as long as the block lasts."""

    def __enter__(self):
        self.model, self.reached, self.release = make_model(), threading.Event(), threading.Event()

        def wait(epoch, logs):
            self.reached.set()
            assert self.release.wait(60)

        self.thread = threading.Thread(
            target=self.model.fit,
            args=(ROWS, TARGETS),
            kwargs={"epochs": 2, "verbose": 0, "callbacks": [LambdaCallback(on_epoch_begin=wait)]},
        )
        self.thread.start()
        assert self.reached.wait(60)
        return self.model

    def __exit__(self, *error):
        self.release.set()
        self.thread.join(60)
        assert not self.thread.is_alive()


@pytest.mark.parametrize(
    "use",
    [
        lambda model: model.fit(ROWS, TARGETS, verbose=0),
        lambda model: model.train_on_batch(ROWS, TARGETS),
        lambda model: model.evaluate(ROWS, TARGETS),
        lambda model: model.gradients(ROWS, TARGETS),
        lambda model: model.set_weights(model.get_weights()),
        lambda model: model.layers[0].set_weights(model.layers[0].get_weights()),
        lambda model: fastmlp.LearningRateFinder().find(model, ROWS, TARGETS),
    ],
    ids=["fit", "train_on_batch", "evaluate", "gradients", "set_weights", "layer", "find"],
)
def test_a_model_in_fit_refuses_what_would_mix_with_it(use):
    with Held() as model, pytest.raises(ModelBusyError, match="trained by fit in another thread"):
        use(model)
    expected = make_model()
    expected.fit(ROWS, TARGETS, epochs=2, verbose=0)
    np.testing.assert_array_equal(model.predict(ROWS), expected.predict(ROWS))
    use(model)


def test_a_model_in_fit_can_be_copied_and_saved_between_epochs(tmp_path):
    with Held() as model:
        model.save(tmp_path / "model.safetensors")
        twin = copy.deepcopy(model)
    fresh = make_model().predict(ROWS)
    np.testing.assert_array_equal(twin.predict(ROWS), fresh)
    np.testing.assert_array_equal(fastmlp.load_model(tmp_path / "model.safetensors").predict(ROWS), fresh)


def test_short_uses_wait_for_each_other():
    model, expected = make_model(), make_model()
    values = [expected.evaluate(ROWS[:500], TARGETS[:500]), expected.evaluate(ROWS[:77], TARGETS[:77])]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: model.evaluate(ROWS[:n], TARGETS[:n]), [500, 77] * 50))
    assert found == values * 50


def test_threads_that_meet_an_unbuilt_model_build_it_once():
    for seed in range(20):
        model = Sequential([Dense(50, "relu"), Dense(7)], seed=seed)
        with ThreadPoolExecutor(8) as pool:
            outputs = list(pool.map(model, [ROWS[:3]] * 8))
        for output in outputs:
            np.testing.assert_array_equal(output, outputs[0])


def _train_in_child(model, queue):
    model.fit(ROWS, TARGETS, epochs=2, verbose=0)
    queue.put(model.predict(ROWS[:20]))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
# of JAX, where another test has imported it
@pytest.mark.filterwarnings("ignore:Exception ignored in.*_at_fork:pytest.PytestUnraisableExceptionWarning")
def test_a_child_that_was_forked_while_threads_predicted_and_trained_can_train():
    model, other = make_model(), make_model()
    expected = make_model()
    expected.fit(ROWS, TARGETS, epochs=2, verbose=0)
    context = multiprocessing.get_context("fork")
    training = threading.Thread(target=other.fit, args=(ROWS, TARGETS), kwargs={"epochs": 30, "verbose": 0})
    with in_threads(lambda: model.predict(ROWS), 3):
        training.start()
        for _ in range(5):
            queue = context.Queue()
            child = context.Process(target=_train_in_child, args=(model, queue))
            child.start()
            outputs = queue.get(timeout=60)
            child.join(60)
            assert child.exitcode == 0
            np.testing.assert_array_equal(outputs, expected.predict(ROWS[:20]))
            time.sleep(0.01)
        training.join(60)


def diverging(hook, use):
    """A model whose fit diverges in its second epoch, in whose midst something else is done with the model."""
    model, starts = make_model(), []
    x, y = ROWS[:300], TARGETS[:300].copy()

    def begin(epoch, logs):
        starts.append(model.get_weights())
        if epoch == 1:
            # the last steps' loss is infinite
            y[-20:] = 1e38

    def inside(batch, logs):
        if len(starts) == 2 and batch == 1:
            use(model)

    callback = LambdaCallback(on_epoch_begin=begin, **{hook: inside})
    with pytest.raises(TrainingDivergedError):
        model.fit(x, y, epochs=3, verbose=0, shuffle=False, callbacks=[callback])
    return model, starts[-1]


@pytest.mark.parametrize("hook", ["on_train_batch_begin", "on_train_batch_end"])
@pytest.mark.parametrize(
    "use",
    [
        lambda model: model.set_weights([weight * 0.5 for weight in model.get_weights()]),
        lambda model: model.train_on_batch(ROWS[:10], TARGETS[:10]),
        lambda model: model.fit(ROWS[:90], TARGETS[:90], epochs=2, verbose=0),
        lambda model: fastmlp.LearningRateFinder(num_training_steps=20).find(model, ROWS[:90], TARGETS[:90]),
    ],
    ids=["set_weights", "train_on_batch", "fit", "find"],
)
def test_an_epoch_that_diverges_ends_where_it_began_whatever_callbacks_did(hook, use):
    model, start = diverging(hook, use)
    for weight, expected in zip(model.get_weights(), start, strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_a_step_in_a_callback_that_diverges_changes_nothing():
    model, found = make_model(), []
    model.compile("sgd", "mse")

    def inside(batch, logs):
        if batch == 3:
            before = model.get_weights()
            with pytest.raises(TrainingDivergedError):
                model.train_on_batch(ROWS[:10], np.full((10, 7), 1e38))
            found.append((before, model.get_weights()))

    model.fit(ROWS[:300], TARGETS[:300], verbose=0, callbacks=[LambdaCallback(on_train_batch_end=inside)])
    for before, after in found:
        for weight, expected in zip(after, before, strict=True):
            np.testing.assert_array_equal(weight, expected)
    assert found


def test_others_predict_with_the_weights_from_before_an_epoch_whatever_callbacks_do():
    model, found = make_model(), []
    expected = model.predict(ROWS[:20])

    def inside(batch, logs):
        model.train_on_batch(ROWS[:10], TARGETS[:10])
        with ThreadPoolExecutor(1) as pool:
            found.append(pool.submit(model.predict, ROWS[:20]).result(60))

    model.fit(ROWS[:300], TARGETS[:300], verbose=0, callbacks=[LambdaCallback(on_train_batch_end=inside)])
    assert len(found) == 10
    for outputs in found:
        np.testing.assert_array_equal(outputs, expected)


@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize(
    "hook", ["on_train_batch_begin", "on_train_batch_end", "on_test_batch_begin", "on_test_batch_end", "on_epoch_end"]
)
def test_a_thread_that_a_callback_waits_for_can_save_the_model(hook, blocks, tmp_path):
    model, path, saved = make_model(), tmp_path / "model.safetensors", []

    def inside(number, logs):
        with ThreadPoolExecutor(1) as pool:
            pool.submit(model.save, path).result(60)
        saved.append((fastmlp.load_model(path).get_weights(), model.get_weights()))

    pairs = [(ROWS[at : at + 32], TARGETS[at : at + 32]) for at in (0, 32, 64)]
    arguments = [iter(pairs)] if blocks else [ROWS[:96], TARGETS[:96]]
    model.fit(
        *arguments, verbose=0, validation_data=(ROWS[:64], TARGETS[:64]), callbacks=[LambdaCallback(**{hook: inside})]
    )
    for there, here in saved:
        for weight, expected in zip(there, here, strict=True):
            np.testing.assert_array_equal(weight, expected)
    assert saved


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer of signals")
def test_steps_of_a_stream_can_be_interrupted_anywhere_while_others_predict():
    model = make_model()
    model.train_on_batch(ROWS[:32], TARGETS[:32])
    over = threading.Event()

    def predict():
        while not over.is_set():
            model(ROWS[:32])

    readers = [threading.Thread(target=predict) for _ in range(2)]
    # the handler that there is by default
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    moments = np.random.default_rng(0).uniform(1e-5, 1e-3, 500)
    try:
        for reader in readers:
            reader.start()
        for moment in moments:
            with pytest.raises(KeyboardInterrupt):
                forever(model, moment)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        over.set()
        for reader in readers:
            reader.join()
    assert np.isfinite(model.train_on_batch(ROWS[:32], TARGETS[:32]))


def forever(model, moment):
    signal.setitimer(signal.ITIMER_REAL, moment)
    while True:
        model.train_on_batch(ROWS[:32], TARGETS[:32])
