"""
5. Training
===========

``fit`` runs the epochs: compiled, so that a step is one native program where the extra ``fast`` is
installed.
"""

import tinygrad_cnn as tc
from tinygrad_cnn import data, models, optim, train

tc.manual_seed(0)
model = models.DigitsNet()
training = data.DataLoader(data.Digits("train"), batch_size=32, shuffle=True, seed=0)
held_out = data.DataLoader(data.Digits("test"), batch_size=256)
optimizer = optim.Adam(model.parameters(), lr=0.003)
history = train.fit(model, training, epochs=8, validation=held_out, optimizer=optimizer)
print(history)

# %%
# How the loss went:

tc.draw.learning_curves(history)

# %%
# What is taken for what:

images, labels = data.Digits("test")[:]
tc.draw.confusion_matrix(model(images), labels)

# %%
# What the first layer looks for:

tc.draw.filters(next(m for m in model.modules() if isinstance(m, tc.nn.Conv2d)))
