"""Published recipes, as settings: what a config file would hold. ``default`` is where every run starts.

``steps`` is the published length of training where there is one: the number of moves of the generator. A recipe whose
source names no length has 3000 steps. ``--steps`` shortens a run together with the numbers that are scheduled over the
run (``lr=2e-4..0``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PRESETS: Mapping[str, Mapping[str, Any]] = {
    # What `ganzoo run` does with no options: chosen by trial, see examples/LOG.md. 100 samples fill ten rows, with a
    # column for each digit.
    "default": {
        "arch": "dcgan:width=16,conditional=auto",
        "loss": "hinge",
        "regularizers": ["sn"],
        "schedule": "onestep",
        "data": "digits:size=32",
        "optimizer": "adam:lr=2e-3..0,betas=0.0,0.9",
        "steps": 1500,
        "samples": 100,
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
        "steps": 3000,
    },
    # Arjovsky, Chintala and Bottou 2017, arXiv:1701.07875, algorithm 1. The critic has batch norm, as in the authors'
    # code: without a norm, weights clipped to 0.01 leave a slope of about 1e-3. As in their code, the critic makes 100
    # moves in each of the first 25 steps and in every 500th.
    "wgan": {
        "arch": "dcgan:d_norm=batch",
        "loss": "wgan",
        "regularizers": ["weight-clip:value=0.01"],
        "schedule": "alternating:discriminator_steps=5,burst=100",
        "optimizer": "rmsprop:lr=5e-5",
        "batch_size": 64,
        "latent_dim": 100,
        "steps": 3000,
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
        "steps": 200_000,
    },
    # Miyato et al. 2018, arXiv:1802.05957, section 4 and the residual nets of its appendix B.4. The numbers are those
    # of the authors' code for CIFAR-10, which moves the generator on batches of 128, twice those of the discriminator.
    "sngan": {
        "arch": "resnet",
        "loss": "hinge",
        "regularizers": ["sn"],
        "schedule": "alternating:discriminator_steps=5,generator_rounds=2",
        "optimizer": "adam:lr=2e-4..0,betas=0.0,0.9",
        "batch_size": 64,
        "latent_dim": 128,
        "steps": 50_000,
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
        "steps": 3000,
    },
    # Mao et al. 2017, arXiv:1611.04076, section 4: the nets and the optimizer of DCGAN, the 0-1 coding. The authors'
    # code draws 1024 noise numbers, and has a rate of 1e-3 on LSUN and of 2e-4 on characters.
    "lsgan": {
        "arch": "dcgan:norm=batch,d_norm=batch",
        "loss": "lsgan",
        "regularizers": [],
        "schedule": "alternating",
        "optimizer": "adam:lr=2e-4,betas=0.5,0.999",
        "batch_size": 64,
        "latent_dim": 100,
        "steps": 3000,
    },
    # Jolicoeur-Martineau 2018, arXiv:1807.00734, section 5: RSGAN with spectral normalisation. Her script has batches
    # of 32.
    "rsgan": {
        "arch": "dcgan",
        "loss": "rpgan",
        "regularizers": ["sn"],
        "schedule": "alternating",
        "optimizer": "adam:lr=2e-4,betas=0.5,0.999",
        "batch_size": 64,
        "latent_dim": 128,
        "steps": 100_000,
    },
    # Wu et al. 2018, arXiv:1712.01026, equation 7: k = 2, p = 6.
    "wgan-div": {
        "arch": "dcgan:d_norm=layer",
        "loss": "wgan-div",
        "regularizers": [],
        "schedule": "alternating:discriminator_steps=4",
        "optimizer": "adam:lr=2e-4,betas=0.0,0.9",
        "batch_size": 64,
        "latent_dim": 128,
        "steps": 200_000,
    },
    # Su 2018, arXiv:1811.07296, and its code: no Lipschitz device at all.
    "gan-qp": {
        "arch": "dcgan:d_norm=batch",
        "loss": "gan-qp",
        "regularizers": [],
        "schedule": "alternating:discriminator_steps=2",
        "optimizer": "adam:lr=2e-4,betas=0.5,0.999",
        "batch_size": 64,
        "latent_dim": 128,
        "steps": 3000,
    },
    # Heusel et al. 2017, arXiv:1706.08500: two time-scales. The rates and betas are those of the authors' code for
    # WGAN-GP on images, TTUR/WGAN_GP/gan_64x64_FID.py. (Their language model has a first beta of 0.5.)
    "ttur": {
        "arch": "dcgan:d_norm=layer",
        "loss": "wgan",
        "regularizers": ["wgan-gp:weight=10"],
        "schedule": "alternating",
        "d_optimizer": "adam:lr=3e-4,betas=0.0,0.9",
        "g_optimizer": "adam:lr=1e-4,betas=0.0,0.9",
        "batch_size": 64,
        "latent_dim": 128,
        "steps": 100_000,
    },
    # Kodali et al. 2017, arXiv:1705.07215: the loss of the first GAN, a discriminator without batch norm, and a
    # penalty that draws the slope to 1 around the real samples.
    "dragan": {
        "arch": "dcgan",
        "loss": "sgan",
        "regularizers": ["dragan:weight=10"],
        "schedule": "alternating",
        "optimizer": "adam:lr=1e-4,betas=0.5,0.9",
        "batch_size": 64,
        "latent_dim": 100,
        "steps": 3000,
    },
    # Tseng et al. 2021, arXiv:2104.03310: the weight and the optimizer of its scripts for few images of CIFAR-10, with
    # the networks of SNGAN in place of BigGAN's.
    "lecam": {
        "arch": "resnet:conditional=projection",
        "loss": "hinge",
        "regularizers": ["sn", "lecam:weight=0.3"],
        "schedule": "alternating:discriminator_steps=4",
        "optimizer": "adam:lr=2e-4,betas=0.0,0.999",
        "batch_size": 50,
        "latent_dim": 128,
        "steps": 3000,
    },
    # Miyato and Koyama 2018, arXiv:1802.05637, section 5: SNGAN with a projection discriminator and conditional batch
    # norm, for data with labels. The length is that of CIFAR's script in the authors' code; 450,000 on ImageNet.
    "sngan-projection": {
        "arch": "resnet:conditional=projection",
        "loss": "hinge",
        "regularizers": ["sn"],
        "schedule": "alternating:discriminator_steps=5",
        "optimizer": "adam:lr=2e-4..0,betas=0.0,0.9",
        "batch_size": 64,
        "latent_dim": 128,
        "steps": 50_000,
    },
    # Odena, Olah and Shlens 2017, arXiv:1610.09585, appendix A, the model for CIFAR-10: 100 numbers of noise beside the
    # one-hot class, G of 384, 192 and 96 channels by transposed convolutions with batch norm, Adam at 2e-4 with betas
    # 0.5 and 0.999, weights from N(0, 0.02^2), LeakyReLU(0.2), batches of 100, 50,000 steps. The numbers agree with two
    # transcriptions of the paper's tables in public code. Different here: kernels of 4x4 in place of 5x5 (G) and 3x3
    # (D), and a D of three convolutions of 96 to 384 channels. The paper's D has six of 16 to 512 channels, strides 2
    # and 1 in turn, dropout of 0.5 after each, and noise on its activations.
    "acgan": {
        "arch": "dcgan:width=96,auxiliary=true,upsample=transposed,d_norm=batch",
        "loss": "acgan",
        "regularizers": [],
        "schedule": "alternating",
        "optimizer": "adam:lr=2e-4,betas=0.5,0.999",
        "batch_size": 100,
        "latent_dim": 100,
        "steps": 50_000,
    },
    # Zhang et al. 2019, arXiv:1805.08318, section 4: spectral norm in both networks, two time-scales, images of 128x128
    # with attention at 32, a quarter of the side. A batch of 4 x 64 and one million steps are those of the README of
    # the authors' code, whose Adam has a second beta of 0.999 where the paper says 0.9. The generator has no average.
    "sagan": {
        "arch": "sagan",
        "loss": "hinge",
        "regularizers": ["sn:players=both"],
        "schedule": "alternating",
        "d_optimizer": "adam:lr=4e-4,betas=0.0,0.9",
        "g_optimizer": "adam:lr=1e-4,betas=0.0,0.9",
        "batch_size": 256,
        "latent_dim": 128,
        "ema": 0.0,
        "steps": 1_000_000,
    },
    # Brock, Donahue and Simonyan 2019, arXiv:1809.11096, for 128x128, with the numbers of launch_BigGAN_bs256x8.sh in
    # the authors' code BigGAN-PyTorch where paper and script differ: one move of D (paper: two), rates of 1e-4 and 4e-4
    # (paper: 5e-5 and 2e-4), no orthogonal regularisation (paper: 1e-4, for truncation). A batch has 2048 images:
    # --accumulate divides the batch.
    "biggan": {
        "arch": "biggan:width=96",
        "loss": "hinge",
        "regularizers": ["sn:players=both"],
        "schedule": "alternating",
        "d_optimizer": "adam:lr=4e-4,betas=0.0,0.999,eps=1e-6",
        "g_optimizer": "adam:lr=1e-4,betas=0.0,0.999,eps=1e-6",
        "batch_size": 2048,
        "latent_dim": 120,
        "ema": 0.9999,
        "steps": 150_000,
    },
    # The same authors' code for CIFAR-10, launch_cifar_ema.sh: no attention, no hierarchical noise, a row per class in
    # each norm, 500 epochs of 1000 batches, and a move of G for four of D.
    "biggan-cifar": {
        "arch": "biggan:width=64,hierarchical=false,shared=0,initial=normal",
        "loss": "hinge",
        "regularizers": ["sn:players=both"],
        "schedule": "alternating:discriminator_steps=4",
        "optimizer": "adam:lr=2e-4,betas=0.0,0.999",
        "batch_size": 50,
        "latent_dim": 128,
        "ema": 0.9999,
        "steps": 125_000,
    },
    # Huang et al. 2024, arXiv:2501.05441. Every number is that of the authors' code, train.py --preset=CIFAR10 with the
    # command of its README (batches of 512, augmentation), whose five schedules are one cosine over 20 million images.
    # The code then trains on at the final values, mirrors the data, has labels (--cond=1, here conditional=projection)
    # and runs three of four stages in bf16. The average starts at once: its half-life grows from 0.
    "r3gan": {
        "arch": "r3gan:width=768",
        "loss": "rpgan",
        "regularizers": ["r1r2:gamma=course(0.05,0.005)", "ada:p=course(0,0.55),colour=0.5,cutout=1"],
        "schedule": "alternating",
        "optimizer": "adam:lr=course(2e-4,5e-5),betas=0.0,0.9,beta2=course(0.9,0.99)",
        "course": "cosine(0,1)",
        "ema_half_life": "course(0,5e6)",
        "batch_size": 512,
        "latent_dim": 64,
        "steps": 39_063,
    },
    # Karras et al. 2020, arXiv:1912.04958, config F for FFHQ at 1024x1024: the numbers of section 4 and appendix B, and
    # of train.py --cfg=stylegan2 of github.com/NVlabs/stylegan2-ada-pytorch for what the text leaves out (the length of
    # 25 million images, the average's half-life of 10 thousand). There, a lazy penalty is an update of its own and the
    # learning rate is lowered by n / (n + 1) to make up for the update. Here, the penalty is a term of the update.
    "stylegan2": {
        "arch": "stylegan2:width=512",
        "loss": "sgan",
        "regularizers": ["r1:gamma=10,every=16", "path-length:weight=2,every=4"],
        "schedule": "alternating",
        "optimizer": "adam:lr=2e-3,betas=0.0,0.99",
        "ema_half_life": 10_000,
        "batch_size": 32,
        "latent_dim": 512,
        "steps": 781_250,
    },
    # Karras et al. 2020, arXiv:2006.06676, CIFAR-10: appendix D and train.py --cfg=cifar of the code named above. No
    # path length, no mixing, no shortcuts in D. The code groups by the 32 images of a GPU.
    "stylegan2-ada": {
        "arch": "stylegan2:width=512,mapping=2,d_form=plain,mixing=0,minibatch_stddev=32",
        "loss": "sgan",
        "regularizers": ["r1:gamma=0.01,every=16", "ada:target=0.6,kimg=500"],
        "schedule": "alternating",
        "optimizer": "adam:lr=2.5e-3,betas=0.0,0.99",
        "ema_half_life": 500_000,
        "ema_rampup": 0.05,
        "batch_size": 64,
        "latent_dim": 512,
        "steps": 1_562_500,
    },
    # Su 2019, arXiv:1903.01931: the one-step schedule; the rest by trial on the digits, see examples/ogan.md.
    "ogan": {
        "arch": "dcgan:width=16,embedding=latent",
        "loss": "ogan:weight=0.25",
        "regularizers": ["r1:gamma=0.3"],
        "schedule": "onestep",
        "data": "digits:hold_out=0.2",
        "optimizer": "adam:lr=1e-3..0,betas=0.0,0.9",
        "batch_size": 64,
        "latent_dim": 24,
        "steps": 3000,
    },
    # Kumar et al. 2019, arXiv:1901.08508, algorithm 1; r1 has gamma / 2, so 0.2 is its lambda = 0.1. By trial on the
    # digits: two moves of the discriminator, not five, and Adam at 5e-4, not 1e-4, see examples/meg.md.
    "meg": {
        "arch": "dcgan:width=16",
        "loss": "meg",
        "regularizers": ["r1:gamma=0.2", "entropy"],
        "schedule": "alternating:discriminator_steps=2",
        "optimizer": "adam:lr=5e-4,betas=0.5,0.9",
        "batch_size": 64,
        "latent_dim": 16,
        "steps": 1200,
    },
    # Xue et al. 2018, arXiv:1706.01805; the weight of Dice and the clipping as in its code, the rate by trial.
    "segan": {
        "arch": "segan:width=16",
        "loss": "segan:dice=1",
        "regularizers": ["weight-clip:value=0.05"],
        "schedule": "alternating",
        "data": "digits-masks",
        "metrics": ["dice", "iou"],
        "optimizer": "adam:lr=1e-3..0,betas=0.5,0.999",
        "batch_size": 32,
        "steps": 1000,
    },
    # Karras et al. 2018, arXiv:1710.10196, section 2 and appendix A.1: 600,000 images a phase, minibatches of 16, Adam
    # at 1e-3 with (0, 0.99), WGAN-GP with a drift of 1e-3, an average with decay 0.999, and 12 million images. Smaller
    # minibatches beyond 128x128 and a rate of 1.5e-3 at 1024x1024 are not scheduled. `pggan:phase_images=0` has growth
    # follow --steps.
    "pggan": {
        "arch": "pggan:phase_images=600000",
        "loss": "wgan",
        "regularizers": ["wgan-gp:weight=10", "drift:weight=1e-3"],
        "schedule": "alternating",
        "optimizer": "adam:lr=1e-3,betas=0.0,0.99",
        "batch_size": 16,
        "latent_dim": 512,
        "ema": 0.999,
        "steps": 750_000,
    },
    # Liu et al. 2021, arXiv:2101.04775, and the authors' train.py: spectral norm in both networks, DiffAugment by
    # colour and translation, 256 noise numbers, batches of 8, 50,000 steps. The authors' hinge draws the margin from
    # 0.8 to 1 for each logit, and their distance of reconstructions is LPIPS.
    "fastgan": {
        "arch": "fastgan",
        "loss": "hinge",
        "regularizers": ["sn:players=both", "diffaugment:policy=color,translation", "reconstruction"],
        "schedule": "alternating",
        "optimizer": "adam:lr=2e-4,betas=0.5,0.999",
        "batch_size": 8,
        "latent_dim": 256,
        "ema": 0.999,
        "steps": 50_000,
    },
    # -- from picture to picture. The data of each preset are small and at hand: name your own with --data.
    # Isola et al. 2017, arXiv:1611.07004, section 3.3 and appendix 6: the U-Net, patches of 70 pixels, lambda = 100,
    # batches of 1. 80,000 steps are 200 epochs of the 400 pictures of facades. The authors halve the discriminator's
    # loss, and let the rate decay in the second half of the run. For your own pictures:
    # --data pairs:path=DIR,sample=picture,halves=left,size=256,load=286,flip=true
    "pix2pix": {
        "arch": "unet:d_layers=3",
        "loss": "sgan",
        "regularizers": ["l1:weight=100"],
        "schedule": "alternating",
        "data": "digits-masks:size=32",
        "metrics": ["l1", "psnr"],
        "optimizer": "adam:lr=2e-4,betas=0.5,0.999",
        "batch_size": 1,
        "steps": 80_000,
    },
    # Isola et al. 2017, section 4: pix2pix on grey pictures and their colours.
    "colorize": {
        "arch": "unet:d_layers=3",
        "loss": "sgan",
        "regularizers": ["l1:weight=100"],
        "schedule": "alternating",
        "data": "colorize:of=cifar10",
        "metrics": ["l1", "psnr", "ssim"],
        "optimizer": "adam:lr=2e-4,betas=0.5,0.999",
        "batch_size": 4,
    },
    # Yu et al. 2019, arXiv:1806.03589, and inpaint.yml of the authors' code: both stages from the start, L1 with weight
    # 1 on the whole picture of each stage, SN-PatchGAN with hinge, Adam at 1e-4 with (0.5, 0.999), batches of 16. The
    # authors halve the discriminator's loss.
    "inpaint-gated": {
        "arch": "gated:attention=true,d_layers=6",
        "loss": "hinge",
        "regularizers": ["sn", "l1:weight=1,stage=coarse,refined"],
        "schedule": "alternating",
        "data": "inpaint:of=digits:size=32",
        "metrics": ["l1", "psnr", "ssim", "sharpness"],
        "optimizer": "adam:lr=1e-4,betas=0.5,0.999",
        "batch_size": 16,
    },
    # The same networks in two phases, coarse to refine: the coarse stage by L1 alone in the first third, then frozen.
    # The order of the phases is that of Iizuka et al., Globally and locally consistent image completion, 2017, section
    # 4, whose completion network learns alone in 90,000 of 500,000 steps.
    "coarse-to-refine": {
        "arch": "gated:first=0.33,then=frozen,d_layers=6",
        "loss": "hinge",
        "regularizers": ["sn", "l1:weight=1,stage=coarse,refined"],
        "schedule": "alternating",
        "data": "inpaint:of=digits:size=32",
        "metrics": ["l1", "psnr", "ssim", "sharpness"],
        "optimizer": "adam:lr=1e-4,betas=0.5,0.999",
        "batch_size": 16,
    },
    # Ledig et al. 2017, arXiv:1609.04802, section 3.2: the generator of SRGAN, by the mean squared error alone. The
    # start of srgan.
    "srresnet": {
        "arch": "srresnet:alone=1",
        "loss": "sgan",
        "regularizers": ["l2"],
        "schedule": "alternating",
        "data": "superres:of=digits:size=32,factor=4",
        "metrics": ["psnr", "ssim", "sharpness"],
        "optimizer": "adam:lr=1e-4,betas=0.9,0.999",
        "batch_size": 16,
        "steps": 1_000_000,
    },
    # Ledig et al. 2017, section 3.2: from the weights of srresnet (--init-from), 200,000 steps, half of them at a tenth
    # of the rate, which here decays linearly. The adversarial loss has weight 1e-3 beside VGG features that are scaled
    # by 1/12.75: divided by 1e-3, the squared difference of the features has 1000 / 12.75^2 = 6.15.
    "srgan": {
        "arch": "srresnet",
        "loss": "sgan",
        "regularizers": ["perceptual:network=vgg19,layers=relu5_4,weight=6.15"],
        "schedule": "alternating",
        "data": "superres:of=digits:size=32,factor=4",
        "metrics": ["psnr", "ssim", "sharpness"],
        "optimizer": "adam:lr=1e-4..1e-5,betas=0.9,0.999",
        "batch_size": 16,
        "steps": 200_000,
    },
    # Wang et al. 2018, arXiv:1809.00219, section 4.1: from a generator that was trained by L1 alone (rrdb:alone=1), the
    # relativistic average loss with weight 5e-3 beside VGG features before the last ReLU, and L1 with 1e-2. All three
    # are divided by 5e-3 here. The authors halve the rate at 50,000, 100,000, 200,000 and 300,000 of 400,000 steps.
    "esrgan": {
        "arch": "rrdb",
        "loss": "ragan",
        "regularizers": ["perceptual:network=vgg19,layers=conv5_4,distance=l1,weight=200", "l1:weight=2"],
        "schedule": "alternating",
        "data": "superres:of=digits:size=32,factor=4",
        "metrics": ["psnr", "ssim", "sharpness"],
        "optimizer": "adam:lr=1e-4..6.25e-6,betas=0.9,0.999",
        "batch_size": 16,
        "steps": 400_000,
    },
    # Hyun, Lee and Heo 2025, arXiv:2509.24935: GAT-B on 4x32x32 latent maps, which `--data folder:path=...` reads from
    # .npy files. The numbers are those of the authors' scripts/train_256_B2.sh and train.py: a rate of 2e-4 at a width
    # of 768, Adam with (0, 0.99), gamma 0.1 with noise of 0.01, batches of 512, 64 noise numbers, an average with decay
    # 0.999. The steps are the paper's 60 epochs of ImageNet. The alignment with a pretrained DINOv2 network is left
    # out, and so are flips and changes of colour. The four copies of a real image, one for each level, get the same
    # noise in the penalty, as in the authors' code (losses/Rp_PT_loss.py).
    "gat": {
        "arch": "gat:width=768,depth=12,heads=12,patch=2,base_width=768,conditional=auto",
        "loss": "rpgan",
        "regularizers": [
            "diffaugment:policy=translation,cutout",
            "multi-level-noise",
            "approximate-r1r2:gamma=0.1,levels=4",
        ],
        "schedule": "alternating",
        "optimizer": "adam:lr=2e-4,betas=0.0,0.99",
        "batch_size": 512,
        "latent_dim": 64,
        "ema": 0.999,
        "steps": 150_000,
    },
}
