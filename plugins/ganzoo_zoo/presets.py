"""The classics, as settings: what a config file would hold. ``default`` is where every run starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PRESETS: Mapping[str, Mapping[str, Any]] = {
    # What `ganzoo run` does with no options: chosen by trial, see examples/LOG.md.
    "default": {
        "arch": "dcgan:width=32",
        "loss": "hinge",
        "regularizers": ["sn"],
        "schedule": "onestep",
        "data": "digits",
        "optimizer": "adam:lr=2e-4,betas=0.0,0.9",
        "steps": 2000,
    },
    # Radford, Metz and Chintala 2016, arXiv:1511.06434, section 4.
    "dcgan": {
        "arch": "dcgan:norm=batch,d_norm=batch,upsample=transposed",
        "loss": "sgan",
        "regularizers": [],
        "schedule": "alternating",
        "optimizer": "adam:lr=2e-4,betas=0.5,0.999",
        "batch_size": 128,
        "latent_dim": 100,
    },
    # Arjovsky, Chintala and Bottou 2017, arXiv:1701.07875, algorithm 1.
    "wgan": {
        "arch": "dcgan",
        "loss": "wgan",
        "regularizers": ["weight-clip:value=0.01"],
        "schedule": "alternating:discriminator_steps=5",
        "optimizer": "rmsprop:lr=5e-5",
        "batch_size": 64,
        "latent_dim": 100,
    },
    # Gulrajani et al. 2017, arXiv:1704.00028, algorithm 1 and section 5.
    "wgan-gp": {
        "arch": "dcgan:d_norm=layer",
        "loss": "wgan",
        "regularizers": ["wgan-gp:weight=10"],
        "schedule": "alternating:discriminator_steps=5",
        "optimizer": "adam:lr=1e-4,betas=0.0,0.9",
        "batch_size": 64,
        "latent_dim": 128,
    },
    # Miyato et al. 2018, arXiv:1802.05957, section 4 (its setting C) and the residual nets of its appendix B.4.
    "sngan": {
        "arch": "resnet",
        "loss": "hinge",
        "regularizers": ["sn"],
        "schedule": "alternating:discriminator_steps=5",
        "optimizer": "adam:lr=2e-4..0,betas=0.0,0.9",
        "batch_size": 64,
        "latent_dim": 128,
    },
    # Su 2019, kexue.fm/archives/6387: one round, both players at once, hinge.
    "onestep-hinge": {
        "arch": "dcgan:d_norm=batch",
        "loss": "hinge",
        "regularizers": [],
        "schedule": "onestep",
        "optimizer": "rmsprop:lr=1e-4,alpha=0.99",
        "batch_size": 64,
        "latent_dim": 128,
    },
}
