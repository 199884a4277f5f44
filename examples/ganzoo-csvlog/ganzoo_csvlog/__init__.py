import ganzoo


@ganzoo.hookimpl
def register_kinds(register):
    setting = ganzoo.Setting("logger", "loggers of the run; any number.", many=True, resume_may_change=True)
    register(ganzoo.Kind("logger", "ganzoo_csvlog.logger:Logger", "loggers of a run", settings=(setting,)))


@ganzoo.hookimpl
def register_loggers(register):
    register("csv", "ganzoo_csvlog.logger:CSV")


@ganzoo.hookimpl
def register_commands(register):
    register("scalars", "ganzoo_csvlog.command:command", "Print the last scalars that --logger csv wrote.")
