#!/bin/sh
# For Kubo's container image, which runs or sources every script in
# /container-init.d before the daemon starts, on every start. Mount this file
# there and the folder above it at /timerose/kubo-config. Sourced or not, it
# must not end the shell: the work is done in one of its own.
sh /timerose/kubo-config/apply
