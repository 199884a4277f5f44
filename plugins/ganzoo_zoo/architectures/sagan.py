"""The residual networks of SAGAN, with self-attention in both networks."""

from __future__ import annotations

from ganzoo_zoo.architectures.biggan import InitialName, SelfAttentive


class SAGAN(SelfAttentive):
    """SAGAN's networks: residual networks with self-attention, conditional batch norm and a projection discriminator.

    Formula:
        up-block:   h = conv1(x2(x)) + conv3(ReLU(norm(upconv3(ReLU(norm(x))))))
        attention:  y_i = x_i + gamma W_o sum over j of softmax_j(q_i . k_j) v_j
        D(x, y) = w . h(x) + b + e_y . h(x), with h summed over space

    Args:
        width: channels of the maps at the size of the samples: 64 in the paper. Maps of 32x32 images have four times as
            many, the smallest maps of larger images 16 times as many.
        norm: norm in the generator: none, batch, instance, layer, pixel or switchable.
        d_norm: norm in the discriminator's blocks but the first. none, instance, layer and pixel treat each sample
            separately, as penalties on the gradient of each sample require. batch and switchable do not.
        upsample: nearest (as in the paper), transposed, pixel-shuffle or binomial. The shortcut is always nearest.
        downsample: pool (as in the paper), strided or binomial. The shortcut always averages.
        conditional: how both networks use the label. concat: one-hot, beside the noise in G and as constant planes
            beside the image in D. projection: a scale and a shift per class in each norm of G, an inner product of
            features and class in D. heads: G as with projection, a last layer per class in D. auto: heads where the
            data has labels, else none.
        attention: shorter sides of the maps after which both networks have self-attention, none for no attention. auto:
            a quarter of the shorter side of the samples, which is 32 for the paper's images of 128x128.
        minibatch_stddev: append to D's pooled features how much the samples of a group of four differ.
        initial: weights at the start: glorot (uniform, as in the authors' code), normal (N(0, 0.02^2)) or orthogonal.
        auxiliary: D returns its features and, on labelled data, class logits. Only G is given the label then.
        joint: with auxiliary, K + 1 classes: no head for the logit, which is the logsumexp of the class logits.

    Raises:
        Incompatible: samples whose sides are no base from 2 to 7 times a power of two, conditional networks for data
            without labels, data with a condition, or attention at maps that are not there.

    Notes:
        Add ``--regularizer sn:players=both``, as in the paper. The blocks of D are as wide inside as their output, as
        in the authors' code. At 128x128 with 1000 classes both networks together have 81.5 million parameters, the
        number that the paper of BigGAN gives for its baseline.

    Source: H. Zhang, I. Goodfellow, D. Metaxas, A. Odena, Self-attention generative adversarial networks, 2019, arXiv
        1805.08318, section 4, and the authors' code for the widths.

    Example:
        >>> import ganzoo, torch
        >>> nets = ganzoo.part("architecture", "sagan:width=2,attention=8").build(
        ...     ganzoo.Spec(shape=(3, 32, 32), latent_dim=4, classes=10))
        >>> labels = torch.tensor([3, 7])
        >>> images = nets.generator(torch.randn(2, 4), labels)
        >>> images.shape, nets.discriminator(images, labels).shape
        (torch.Size([2, 3, 32, 32]), torch.Size([2]))
    """

    initial: InitialName = "glorot"

    def usual_attention(self, side: int) -> int:
        """The side of the maps with self-attention in the paper: a quarter of the side of the samples.

        Args:
            side: the shorter side of the samples.
        """
        return side // 4
