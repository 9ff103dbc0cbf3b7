"""
4. A network, and whether it can learn
======================================

Layers are modules; a model is a module made of them.
"""

import tinygrad_cnn as tc
from tinygrad_cnn import data, models, nn, optim, train

tc.manual_seed(0)
model = nn.Sequential(
    nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
    nn.Flatten(), nn.Linear(64, 10),
)  # fmt: skip
print(models.summary(model, (1, 1, 8, 8)))

# %%
# The digits are part of the package: real ones, 8 by 8 pixels.

digits = data.Digits("train")
images, labels = digits[:16]
print(images.shape, labels)

# %%
# Before a long run, a short check: is the first loss that of guessing, can a few images be learnt
# by heart, do all parameters get a gradient?

loader = data.DataLoader(digits, batch_size=32, shuffle=True, seed=0)
print(train.sanity_check(model, loader, optimizer=optim.Adam(model.parameters(), lr=0.01)))
