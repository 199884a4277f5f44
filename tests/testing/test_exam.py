"""The exam: every part in the catalogue passes the exam of its kind."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from feature_weights import feature_weights
from PIL import Image

import ganzoo
from ganzoo.errors import DataError
from ganzoo.parts import KINDS
from ganzoo.testing import checks_for

SMALLER = {
    "biggan": "biggan:width=2,shared=4,hierarchical=false",
    "sagan": "sagan:width=2",
    "dcgan": "dcgan:width=4",
    "gat": "gat:width=8,depth=2,heads=1,patch=4,levels=2",
    "fastgan": "fastgan:width=2,excitation=3",
    "multiscale": "multiscale:of=dcgan,width=4,scales=2",
    "packed": "packed:of=mlp,width=8,depth=1",
    "pggan": "pggan:channel_max=8",
    "r3gan": "r3gan:width=8,blocks=1,group=4",
    "resnet": "resnet:width=8",
    "mlp": "mlp:width=16,depth=2",
    "segan": "segan:width=4",
    "stylegan2": "stylegan2:width=8,style=6,mapping=2",
    "unet": "unet:width=2,d_width=2,d_layers=1",
    "patch": "patch:width=4,d_width=4,d_layers=1",
    "gated": "gated:width=2,d_width=2,d_layers=2",
    "srresnet": "srresnet:width=4,blocks=1,d_width=2",
    "rrdb": "rrdb:width=4,growth=2,blocks=1,d_width=2",
}


SMALLER_TERMS = {
    "perceptual": "perceptual:layers=relu1_2",
    "style": "style:layers=relu1_2",
    "lpips": "lpips:network=alex",
}


VARIANTS = {
    "architecture": [
        "dcgan:width=4,conditional=concat,upsample=pixel-shuffle,d_norm=batch",
        "mlp:width=16,conditional=concat",
        "dcgan:width=4,conditional=projection,downsample=pool",
        "resnet:width=8,conditional=projection,upsample=transposed",
        "mlp:width=16,conditional=projection",
        "dcgan:width=4,conditional=heads",
        "dcgan:width=4,equalised=true,attention=4,upsample=binomial,downsample=binomial",
        "dcgan:width=4,embedding=latent",
        "dcgan:width=4,auxiliary=true",
        "dcgan:width=4,auxiliary=true,joint=true,d_norm=batch",
        "resnet:width=8,auxiliary=true",
        "resnet:width=8,auxiliary=true,joint=true",
        "mlp:width=16,embedding=3",
        "mlp:width=16,activation=maxout,norm=batch,d_norm=layer",
        "packed:of=dcgan,width=4,samples=3",
        "stylegan2:width=6,mapping=1,conditional=projection,form=residual,d_form=skip",
        "stylegan2:width=6,mapping=1,form=plain,d_form=plain,embedding=latent,minibatch_stddev=0,noise=none",
        "stylegan2:width=6,mapping=1,auxiliary=true,conditional=none,noise=constant,mixing=0",
        "r3gan:width=8,wide_to=4,conditional=projection",
        "r3gan:width=8,conditional=concat,embedding=latent,blocks=1",
        "r3gan:width=6,auxiliary=true,blocks=1",
        "segan:width=4,norm=instance,d_norm=none",
        "gat:width=8,depth=3,heads=1,patch=4,levels=3,qk_norm=false",
        "gat:width=8,depth=1,heads=2,patch=8,levels=1,conditional=projection,projection_size=6,base_width=16",
        "fastgan:width=2,norm=layer,d_norm=none,noise=false,reconstructs=false",
        "biggan:width=2,shared=0,conditional=heads,norm=instance",
        "biggan:width=2,hierarchical=false,shared=4,conditional=none,auxiliary=true",
        "multiscale:of=resnet,width=8,scales=2,pooling=max,combine=sum,auxiliary=true",
        "dcgan:width=4,conditional=projection,norm=switchable,d_norm=switchable,minibatch_discrimination=2",
        "resnet:width=8,minibatch_stddev=true,attention=8,16,norm=instance,conditional=heads",
        "pggan:channel_max=4,equalised=false,norm=layer,conditional=projection,start=8",
        "pggan:channel_max=4,auxiliary=true,minibatch_stddev=false,phase_images=100",
        "unet:form=residual,width=2,blocks=1,norm=instance,d_width=2,d_form=pixel,d_norm=layer",
        "unet:width=2,levels=2,upsample=nearest,d_width=2,d_layers=1,d_scales=2,d_norm=none",
        "gated:width=2,attention=true,d_form=patch,d_width=2,d_layers=1,d_condition=false",
        "srresnet:width=4,blocks=1,residual=true,norm=none,d_width=2,d_norm=none,d_condition=true",
    ],
    "loss": [
        "hinge:margin=2",
        "lsgan:fake=-1,real=1,aim=0",
        "rpgan:form=zero-sum",
        "ogan:form=lsgan",
        "segan:layers=concatenated,dice=1,l1=1",
        "hinge:targets=margin",
        "ragan:scale=0.5",
        "gan-qp:distance=l2",
        "wgan-div:p=2",
        "acgan:fake_weight=0,generator_weight=0.1",
    ],
    "regularizer": [
        "r1:gamma=1,every=4",
        "sn:players=both",
        "label-smoothing:mode=random",
        "label-smoothing:mode=random,real=0.7,real_to=1.2,fake_to=0.3,flip=0.05",
        "instance-noise:sigma=0.5",
        "gradient-penalty:points=real,on=probability",
        "gradient-penalty:points=both,power=3,centre=1,sides=one",
        "gradient-penalty:points=around,power=1.5",
        "gradient-penalty:points=real,over=max",
        "dragan:noise=uniform",
        "apa:p=0.5",
        "lecam:form=one-sided",
        "orthogonal:players=both",
        "clip-gradient:by=value",
        "ada:start=0.9",
        "feature-matching:form=paired",
        "l1:stage=images,weight=2",
        "tv:form=block",
        "tv:form=l2,per=picture",
        "perceptual:network=vgg19,layers=relu1_1,conv1_2,layer_weights=1,0.5,distance=l1",
        "style:layers=relu1_1,distance=l1",
    ],
    "schedule": [
        "alternating:discriminator_steps=3",
        "alternating:generator_steps=2",
        "onestep:weight=2",
        "unrolled:steps=1",
        "unrolled:steps=3,order=second",
        "sga:align=false",
        "cgd:rate=0.5,iterations=1",
        "lookahead:k=2,of=onestep",
        "lookahead:k=2,of=extragradient",
        "lookahead:k=4,of=(lookahead:k=2)",
    ],
    "optimizer": ["adam:betas=0.5,0.999", "sgd:momentum=0.9,nesterov=true", "rmsprop:momentum=0.5"],
}


ABSENT = {"mnist", "fashion-mnist", "cifar10", "stacked-mnist"}  # real files are needed, which tests do not download


ELSEWHERE = {"stacked-modes"}  # reads digits, which no sample of the exam is; see tests/zoo/test_stacked.py


def catalogue() -> list[tuple[str, str]]:
    brought = [e for e in ganzoo.catalogue().entries() if e.provider == "zoo"]
    tasks = {"inpaint": "inpaint:of=digits:size=8", "superres": "superres:of=digits:size=8,factor=2"}
    metrics = {"lpips": "lpips:network=alex,count=8", "ms-ssim": "ms-ssim:pairs_of=16"}
    trackers = {"budget": "budget:seconds=60", "early-stop": "early-stop:figure=loss/generator"}
    smaller = {
        "architecture": SMALLER,
        "regularizer": SMALLER_TERMS,
        "data": tasks,
        "metric": metrics,
        "tracker": trackers,
    }
    small = [(e.kind, smaller.get(e.kind, {}).get(e.name, e.name)) for e in brought]
    return [(kind, words) for kind, words in small if words not in ABSENT | ELSEWHERE] + [
        (kind, words) for kind, variants in VARIANTS.items() for words in variants
    ]


@cache
def pictures(folder: Path) -> Path:
    for i in range(6):
        place = folder / "pictures" / "ab"[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30 + i), (40 * i, 90, 255 - 40 * i)).save(place / f"{i}.png")
    return folder / "pictures"


@cache
def pairs(folder: Path) -> Path:
    for i in range(6):
        for kind, colour in (("images", (40 * i, 90, 255 - 40 * i)), ("masks", 2 * [0] + [255 * (i % 2)])):
            place = folder / "pairs" / kind
            place.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (40, 30 + i), tuple(colour)).save(place / f"{i}.png")
    return folder / "pairs"


@pytest.mark.parametrize(
    ("kind", "words", "check"),
    [
        pytest.param(kind, words, check, id=f"{kind}-{words}-{check.name}")
        for kind, words in catalogue()
        for check in checks_for(kind)
    ],
)
def test_every_part_passes(kind, words, check, tmp_path_factory):
    if words == "colorize":
        words = f"colorize:of=folder:path={pictures(tmp_path_factory.getbasetemp())},size=16,hold_out=0.4"
    if words == "folder":
        words = f"folder:path={pictures(tmp_path_factory.getbasetemp())},size=16"
    if words == "pairs":
        words = f"pairs:path={pairs(tmp_path_factory.getbasetemp())},size=16"
    if words.partition(":")[0] in SMALLER_TERMS and kind in ("regularizer", "metric"):
        network, layers = ("alexnet", 13) if "alex" in words else ("vgg19" if "vgg19" in words else "vgg16", 5)
        words += f",weights={feature_weights(tmp_path_factory.getbasetemp(), network, layers)}"
    check(ganzoo.part(kind, words))


@pytest.mark.parametrize("name", sorted(ABSENT))
def test_data_that_is_not_there_says_so(name, tmp_path):
    part = ganzoo.part("data", name, root=str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"\A[^\n]+\Z"):
        part.dataset()
    for check in checks_for("data")[:4]:  # what does not read the files
        check(part)


def test_every_kind_has_an_exam_and_every_check_says_what_it_asks():
    for kind in KINDS:
        own = [check for check in checks_for(kind) if check.kind == kind]
        assert own, kind
        names = [check.name for check in checks_for(kind)]
        assert len(set(names)) == len(names)
        assert all(check.summary.endswith((".", ":")) or len(check.summary) > 40 for check in own)
    with pytest.raises(ValueError, match="'lose' is no kind of part"):
        checks_for("lose")
