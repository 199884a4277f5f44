from torch.nn.functional import softplus

import ganzoo


class SoftMargin(ganzoo.Loss):
    """Hinge with a soft corner.

    Args:
        margin: score beyond which a sample is told apart well enough.
    """

    margin: float = 1.0

    def discriminator(self, s):
        return softplus(self.margin - s.real).mean() + softplus(self.margin + s.fake).mean()

    def generator(self, s):
        return -s.fake.mean()
