# shellcheck shell=bash
# Where the packages of a suite are, of those that comux is tried on: Debian's and Ubuntu's. debootstrap
# knows that, and so it is written down nowhere else. To be sourced.

# archive_of SUITE
archive_of() {
    case $1 in
        noble) sed -n 's|^[[:space:]]*default_mirror \(http://archive\..*\)$|\1|p' \
            /usr/share/debootstrap/scripts/gutsy ;;
        *) sed -n 's|^DEF_MIRROR="\(.*\)"$|\1|p' "$(PATH=$PATH:/usr/sbin command -v debootstrap)" ;;
    esac
}
