# shellcheck shell=bash
# rootfs.tar: a root file system of busybox alone, for `FROM scratch` and
# `ADD rootfs.tar /`. The same busybox gives the same bytes.
part_title="rootfs.tar"
part_inputs=(parts/rootfs.sh)
part_makes=(rootfs.tar)
part_packages=(busybox:busybox-static)

part_build() { # OUT
    local root=$1/root busybox applet
    busybox=$(command -v busybox)
    if ldd "$busybox" >/dev/null 2>&1; then
        say "$busybox is not static: apt-get install busybox-static"
        return 1
    fi
    umask 022
    mkdir -p "$root"/{bin,sbin,usr/bin,usr/sbin,etc,dev,proc,sys,home,var/tmp,tmp,root}
    cp "$busybox" "$root/bin/busybox"
    for applet in $(busybox --list-full); do
        case $applet in
        bin/busybox) ;;
        bin/* | sbin/* | usr/bin/* | usr/sbin/*) ln -s /bin/busybox "$root/$applet" ;;
        esac
    done
    printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$root/etc/passwd"
    printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
    chmod 1777 "$root/tmp" "$root/var/tmp"
    chmod 700 "$root/root"
    tar --create --file "$1/rootfs.tar" --directory "$root" --format=ustar \
        --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner .
    rm -rf "$root"
}
