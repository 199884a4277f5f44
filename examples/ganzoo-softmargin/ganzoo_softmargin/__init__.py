import ganzoo


@ganzoo.hookimpl
def register_losses(register):
    register("softmargin", "ganzoo_softmargin.loss:SoftMargin")
