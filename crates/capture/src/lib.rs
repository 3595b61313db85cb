//! Capture options, and the nftables or iptables rules that follow from them.
