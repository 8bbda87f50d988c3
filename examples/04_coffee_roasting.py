"""4. Coffee roasting: which temperature and duration make good coffee? And why logits are more accurate."""

import numpy as np
from picture import pyplot, save

from fastmlp import Dense, Input, Sequential, layers, losses, optimizers, plotting

# Change these numbers.
ROASTS = 400
EPOCHS = 500
SEED = 3  # with 1 or 2 the three units never find the lower edge: where a network starts matters

plt = pyplot()  # None without --picture FILE

# The roasts: hot enough, long enough, and the hotter the shorter, or the coffee burns.
rng = np.random.default_rng(SEED)
celsius = rng.uniform(150, 285, ROASTS)
minutes = rng.uniform(11.5, 15.5, ROASTS)
x = np.column_stack([celsius, minutes])
y = ((celsius > 175) & (minutes > 12) & (minutes < 21 - 3 / 85 * celsius)).astype(int)


def network(output, loss):
    """The network of the lecture. Normalization brings both features to mean 0 and deviation 1."""
    normalization = layers.Normalization()
    normalization.adapt(x)
    model = Sequential(
        [Input(shape=(2,)), normalization, Dense(3, activation="sigmoid"), Dense(1, activation=output)], seed=SEED
    )
    model.compile(optimizer=optimizers.Adam(learning_rate=0.05), loss=loss)
    model.fit(x, y, epochs=EPOCHS, verbose=0)
    return model


model = network("sigmoid", losses.BinaryCrossentropy())
probability = model.predict(x)[:, 0]
good = (probability >= 0.5).astype(int)  # the threshold
print(f"roasts        {ROASTS}, of which good: {y.sum()}")
print(f"right         {(good == y).mean():.1%} of them, with the threshold 0.5")
for roast in ([200.0, 13.0], [200.0, 15.0], [270.0, 13.0]):
    chance = model.predict([roast])[0, 0]
    print(
        f"{roast[0]:.0f} C, {roast[1]:.0f} min  probability {chance:.3f}: {'good' if chance >= 0.5 else 'bad'} coffee"
    )

# The same with a linear output: the network now says z, the logit, and the loss applies the sigmoid itself.
logits = network("linear", losses.BinaryCrossentropy(from_logits=True))
same = np.abs(1 / (1 + np.exp(-logits.predict(x)[:, 0])) - probability).max()
print(f"from_logits   the same network: its probabilities differ by {same:.0e} at most")

# So why logits? A network that is sure and wrong must pay log(1 + exp(z)) where y = 0. In float32 the sigmoid of a
# large z is exactly 1, so z is lost, and libraries cut probabilities to 1 - 1e-7 lest log(0) be infinite.
# (fastmlp, as Keras, trains a sigmoid before this loss from its z all the same; hence the same network.)
print("\nloss where y = 0")
print("    z   exact     from the probability   from the logit")
for z in (1.0, 5.0, 10.0, 20.0, 50.0):
    sigmoid = np.float32(1) / (np.float32(1) + np.exp(np.float32(-z)))
    from_probability = losses.BinaryCrossentropy()([[0]], [[sigmoid]])
    from_logit = losses.BinaryCrossentropy(from_logits=True)([[0]], [[z]])
    print(f"{z:5.0f}   {np.log1p(np.exp(z)):7.4f}   {from_probability:20.4f}   {from_logit:14.4f}")

if plt:
    figure, ax = plt.subplots(figsize=(6.5, 4.6), layout="constrained")
    plotting.decision_boundary(model, x, y, labels=["bad", "good"], ax=ax)
    corners = np.array([[175, 12], [175, 21 - 3 / 85 * 175], [255, 12], [175, 12]])
    ax.plot(corners[:, 0], corners[:, 1], "--", color="black", linewidth=1)
    ax.set(xlabel="temperature in Celsius", ylabel="duration in minutes")
    ax.set_title("line: where the network changes its mind; dashed: the truth", pad=24)
    save(figure)
