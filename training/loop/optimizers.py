"""The optimiser and the schedule of its learning rate, as the flags ask for them.

In: flags, parameters. Out: PyTorch's objects. Knows no network, no data and no loop.
"""

from __future__ import annotations

import argparse
from typing import Any

import torch


def make_optimizer(args: argparse.Namespace, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
    options: dict[str, Any] = {"lr": args.learning_rate}
    if args.optimizer in ("Adam", "AdamW"):
        options["betas"] = tuple(args.betas)
    else:
        options["momentum"] = args.momentum
    if args.weight_decay is not None:
        options["weight_decay"] = args.weight_decay
    return getattr(torch.optim, args.optimizer)(parameters, **options)


def make_schedule(args: argparse.Namespace, optimizer: torch.optim.Optimizer, steps: int) -> Any:
    """The learning rate's schedule, a step at a time; None for a constant one."""
    rates = torch.optim.lr_scheduler
    if args.scheduler == "OneCycleLR":
        return rates.OneCycleLR(
            optimizer,
            max_lr=args.learning_rate,
            total_steps=steps + 1,
            pct_start=args.pct_start,
            div_factor=args.div_factor,
            final_div_factor=args.final_div_factor,
        )
    if args.scheduler == "CyclicLR":
        return rates.CyclicLR(
            optimizer,
            base_lr=args.base_lr,
            max_lr=args.learning_rate,
            step_size_up=args.step_size_up,
            mode=args.cycle_mode,
            gamma=args.gamma,
            cycle_momentum=False,
        )
    if args.scheduler == "StepLR":
        return rates.StepLR(optimizer, args.step_size, args.gamma)
    if args.scheduler == "MultiStepLR":
        return rates.MultiStepLR(optimizer, sorted(args.milestones), args.gamma)
    return None
