# A Kubernetes of one node, for scripts/test-kube: built from Go's modules (tools/kube) and
# Debian's containerd and runc into target/kube, once. It runs in namespaces and cgroups of its
# own, and nothing of it stays.
root=$PWD/target/kube
run=$root/run
node=10.99.0.1
version=v1.36.3
fail() { echo "test-kube: $*" >&2; exit 1; }

build() {
    (cd tools/kube && CGO_ENABLED=0 go build -trimpath -buildvcs=false -o "$root/kube" -ldflags "-s -w \
        -X k8s.io/component-base/version.gitVersion=$version -X k8s.io/component-base/version.gitMajor=1 \
        -X k8s.io/component-base/version.gitMinor=36" .)
    mkdir -p "$root"/debs "$root"/images
    [ -x "$root/debian/usr/bin/containerd" ] || {
        apt-cache show containerd >/dev/null 2>&1 || apt-get update -qq
        (cd "$root/debs" && apt-get download -qq containerd runc containernetworking-plugins busybox-static nftables \
            libnftables1 libnftnl11 libmnl0 libjansson4 libedit2 libbsd0 libmd0 libgmp10 libtinfo6 libxtables12 >/dev/null) ||
            fail "Debian's packages can't be downloaded: apt-get update"
        for package in "$root"/debs/*.deb; do dpkg-deb -x "$package" "$root/debian"; done
    }
    scripts/from-debian umoci umoci "images can be made" || exit 1
    [ -f "$root/images/pause.tar" ] || {
        rm -rf "$root/pause"
        umoci init --layout "$root/pause"
        umoci new --image "$root/pause:1"
        umoci insert --image "$root/pause:1" "$root/debian/bin/busybox" /busybox >/dev/null
        umoci config --image "$root/pause:1" --config.entrypoint /busybox --config.cmd sleep --config.cmd 2147483647
        tar -C "$root/pause" -cf "$root/images/pause.tar" .
    }
    for name in encarno encarno-k6; do tar -C "dist/images/$name" -cf "$root/images/$name.tar" .; done
}

# The cluster's cgroups lie below those of this process, in every hierarchy.
cgroups() {
    while IFS=: read -r _ controllers path; do
        case $controllers in
        "") mount=$([ -d /sys/fs/cgroup/unified ] && echo /sys/fs/cgroup/unified || echo /sys/fs/cgroup) ;;
        name=*) mount=/sys/fs/cgroup/${controllers#name=} ;;
        *) mount=/sys/fs/cgroup/$controllers ;;
        esac
        parent=$mount${path%/}
        mkdir -p "$parent/encarno-kube"
        if [ "$controllers" = cpuset ]; then
            cat "$parent/cpuset.cpus" >"$parent/encarno-kube/cpuset.cpus"
            cat "$parent/cpuset.mems" >"$parent/encarno-kube/cpuset.mems"
            echo 1 >"$parent/encarno-kube/cgroup.clone_children"
        fi
        echo "$parent/encarno-kube"
    done </proc/self/cgroup
}

up() {
    rm -rf "$run"
    mkdir -p "$run"/{logs,pki,etcd,kubelet,containerd,cni}
    openssl genrsa -out "$run/pki/accounts.key" 2048 2>/dev/null || fail "openssl is missing"
    openssl rsa -in "$run/pki/accounts.key" -pubout -out "$run/pki/accounts.pub" 2>/dev/null
    # The API server is reachable from these namespaces only.
    echo 'admin,admin,admin,"system:masters"
kubelet,system:node:node1,node1,"system:nodes"
tester,tester,tester,"testers"' >"$run/pki/tokens"
    for user in admin kubelet tester; do
        echo "{apiVersion: v1, kind: Config, current-context: it,
clusters: [{name: it, cluster: {server: 'https://$node:6443', insecure-skip-tls-verify: true}}],
users: [{name: it, user: {token: $user}}],
contexts: [{name: it, context: {cluster: it, user: it, namespace: load}}]}" >"$run/pki/$user.yaml"
    done
    cgroups >"$run/cgroups"
    setsid bash -c '
        while read -r cgroup; do echo $$ >"$cgroup/cgroup.procs"; done <"$0/cgroups"
        exec unshare --net --mount --pid --cgroup --uts --ipc --fork --kill-child --mount-proc --propagation private \
            "$1" inside' "$run" "$PWD/scripts/test-kube" >"$run/logs/init" 2>&1 </dev/null &
    unshared=$!
    trap down EXIT
    for _ in $(seq 1200); do
        [ -e "$run/ready" ] && break
        kill -0 "$unshared" 2>/dev/null || fail "the cluster has ended: $(tail -n 5 "$run/logs/init")"
        sleep 0.25
    done
    [ -e "$run/ready" ] || fail "the cluster isn't ready: see $run/logs"
    init=$(pgrep --parent "$unshared")
}

down() {
    # The end of its first process is the end of all in a PID namespace.
    kill -KILL "$(pgrep --parent "$unshared")" 2>/dev/null || true
    wait "$unshared" 2>/dev/null || true
    while read -r cgroup; do
        find "$cgroup" -depth -type d -exec rmdir {} \; 2>/dev/null || true
    done <"$run/cgroups"
}

# The first process of the namespaces: starts all parts of the cluster.
inside() {
    export PATH=$root:$root/debian/usr/bin:$root/debian/usr/sbin:$root/debian/bin:$PATH
    export LD_LIBRARY_PATH=$root/debian/usr/lib/x86_64-linux-gnu:$root/debian/lib/x86_64-linux-gnu
    mount --make-rprivate /
    if [ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ]; then
        mount -t cgroup2 cgroup /sys/fs/cgroup
        # A cgroup that has children with controllers has no processes of its own.
        mkdir /sys/fs/cgroup/parts
        echo 1 >/sys/fs/cgroup/parts/cgroup.procs
        for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
            echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control || true
        done
    else
        umount -l /sys/fs/cgroup
        mount -t tmpfs -o mode=755 cgroups /sys/fs/cgroup
        for controller in cpu cpuacct cpuset memory devices freezer blkio pids; do
            mkdir "/sys/fs/cgroup/$controller"
            mount -t cgroup -o "$controller" cgroup "/sys/fs/cgroup/$controller"
        done
        mkdir /sys/fs/cgroup/systemd
        mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
    fi
    # The kubelet sets what belongs to the whole machine: it sets copies.
    local name value
    mkdir "$run/sysctl"
    while read -r name value; do
        echo "$value" >"$run/sysctl/${name//\//_}"
        mount --bind "$run/sysctl/${name//\//_}" "/proc/sys/$name"
    done <<<"vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000"
    mkdir -p "$run"/var/{upper,work}
    mount -t overlay -o "lowerdir=/var,upperdir=$run/var/upper,workdir=$run/var/work" overlay /var
    mount -t tmpfs tmpfs /run
    mkdir /run/lock
    mount --make-rshared /
    hostname node1
    ip link set lo up
    ip link add node0 type bridge
    ip address add "$node/24" dev node0
    ip link set node0 up
    ip route add default dev node0
    echo 1 >/proc/sys/net/ipv4/ip_forward

    kube etcd --data-dir "$run/etcd" --unsafe-no-fsync >"$run/logs/etcd" 2>&1 &
    kube apiserver --etcd-servers=http://127.0.0.1:2379 --bind-address=0.0.0.0 --advertise-address="$node" \
        --cert-dir="$run/pki" --token-auth-file="$run/pki/tokens" --authorization-mode=Node,RBAC \
        --service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$run/pki/accounts.pub" \
        --service-account-signing-key-file="$run/pki/accounts.key" --service-cluster-ip-range=10.96.0.0/16 \
        --kubelet-preferred-address-types=InternalIP >"$run/logs/apiserver" 2>&1 &
    local try
    for try in $(seq 600); do
        kube kubectl --kubeconfig "$run/pki/admin.yaml" get --raw /readyz >/dev/null 2>&1 && break
        sleep 0.2
    done
    kube manager --kubeconfig="$run/pki/admin.yaml" --service-account-private-key-file="$run/pki/accounts.key" \
        --leader-elect=false --allocate-node-cidrs=false --flex-volume-plugin-dir="$run/plugins" >"$run/logs/manager" 2>&1 &
    kube scheduler --kubeconfig="$run/pki/admin.yaml" --leader-elect=false >"$run/logs/scheduler" 2>&1 &
    cat >"$run/cni/10-bridge.conflist" <<C
{"cniVersion": "0.4.0", "name": "pods", "plugins": [{"type": "bridge", "bridge": "cni0", "isGateway": true,
  "hairpinMode": true, "ipam": {"type": "host-local", "dataDir": "/run/ipam",
  "ranges": [[{"subnet": "10.88.0.0/16"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
C
    cat >"$run/containerd.toml" <<C
version = 2
root = "$run/containerd/root"
state = "$run/containerd/state"
[grpc]
  address = "$run/containerd/it.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "test.invalid/pause:1"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$root/debian/usr/lib/cni"
    conf_dir = "$run/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      BinaryName = "$root/debian/usr/sbin/runc"
C
    containerd --config "$run/containerd.toml" >"$run/logs/containerd" 2>&1 &
    local ctr="ctr --address $run/containerd/it.sock --namespace k8s.io"
    for try in $(seq 300); do $ctr version >/dev/null 2>&1 && break; sleep 0.2; done
    for name in pause encarno encarno-k6; do
        $ctr images import --base-name "test.invalid/$name" "$root/images/$name.tar" >>"$run/logs/images" 2>&1
    done
    cat >"$run/kubelet.yaml" <<C
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
containerRuntimeEndpoint: unix://$run/containerd/it.sock
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
failSwapOn: false
resolvConf: ""
enforceNodeAllocatable: []
makeIPTablesUtilChains: false
evictionHard: {memory.available: 50Mi, nodefs.available: 1%, imagefs.available: 1%}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
podLogsDir: $run/pods
volumePluginDir: $run/plugins
C
    kube kubelet --config="$run/kubelet.yaml" --kubeconfig="$run/pki/kubelet.yaml" --root-dir="$run/kubelet" \
        --cert-dir="$run/pki" --node-ip="$node" --hostname-override=node1 >"$run/logs/kubelet" 2>&1 &
    kube proxy --kubeconfig="$run/pki/admin.yaml" --proxy-mode=nftables --cluster-cidr=10.88.0.0/16 \
        --hostname-override=node1 --conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0 \
        --conntrack-tcp-timeout-close-wait=0 >"$run/logs/proxy" 2>&1 &
    kube kubectl --kubeconfig "$run/pki/admin.yaml" wait --for=create node/node1 --timeout=120s
    kube kubectl --kubeconfig "$run/pki/admin.yaml" wait --for=condition=Ready node/node1 --timeout=120s
    touch "$run/ready"
    while :; do
        sleep 3600 &
        wait $!
    done
}

within() { nsenter --target "$init" --net --mount --pid --cgroup --uts --ipc --wd="$PWD" "$@"; }
kubectl() { KUBECONFIG=$run/pki/admin.yaml within "$root/kube" kubectl "$@"; }
