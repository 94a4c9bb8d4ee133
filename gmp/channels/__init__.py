"""Channels of networks: groups of coupled channels, their selection and their removal.

channel_groups       channel_groups: coupled channels of a network, found by running it
narrowing            narrow, rebuild: networks without their removed channels
channel_scores       score_channels: the importance of each channel
channel_pruner       ChannelPruner: whole channels pruned in training
channel_costs        parameter_cost, mac_cost, latency_cost: what a network with fewer channels costs
channel_netadapt     netadapt_channels: channels of one group at a time, until a budget is met
channel_candidates   ChannelCandidates: networks for searches, fitted by least squares
channel_searches     uniform, random, table and greedy searches within a budget
amc_search           amc: an agent beside these searches
channel_permutation  permute_channels: an order of channels in which n:m sparsity keeps more
network_slimming     ChannelPenalty, slim: scales of norms driven to zero in training
"""

from gmp.channels.amc_search import AmcReport, amc
from gmp.channels.channel_candidates import ChannelCandidates
from gmp.channels.channel_costs import latency_cost, mac_cost, parameter_cost
from gmp.channels.channel_groups import channel_groups
from gmp.channels.channel_netadapt import AdaptedNetwork, netadapt_channels
from gmp.channels.channel_permutation import PermutedGroup, permute_channels
from gmp.channels.channel_pruner import ChannelPruner
from gmp.channels.channel_records import ChannelGroup, ChannelGroups, Member
from gmp.channels.channel_scores import score_channels
from gmp.channels.channel_searches import ChannelChoice
from gmp.channels.narrowing import Narrowed, narrow, rebuild
from gmp.channels.network_slimming import ChannelPenalty, Slimmed, slim

__all__ = [
    "AdaptedNetwork", "AmcReport", "ChannelCandidates", "ChannelChoice", "ChannelGroup", "ChannelGroups",
    "ChannelPenalty", "ChannelPruner", "Member", "Narrowed", "PermutedGroup", "Slimmed", "amc",
    "channel_groups", "latency_cost", "mac_cost", "narrow", "netadapt_channels", "parameter_cost",
    "permute_channels", "rebuild", "score_channels", "slim",
]  # fmt: skip
