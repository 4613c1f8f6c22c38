# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034	# used by the parts that read it
# What 25-helper runs, and 10-compile makes for it; read in the repository's directory.

plain=build/userspace-helper
threads=build/userspace-helper-tsan
# Every program there is, so that none is forgotten.
targets=()
for name in tests/unit/drivers/test-*.c; do
	targets+=("${name%.c}")
done
for name in tests/unit/nexusd/test-*.c; do
	name=${name##*/test-}
	targets+=("tests/unit/nexusd/test-nexusd-${name%.c}")
done
# One of them is built for every driver.
targets+=(tests/unit/nexusd/test-nexusd-service-records-postgres)
# And some of the control socket, for gRPC.
targets+=(tests/unit/services/test-service-{agent_registry,mount,namespace,permissions,scheduler}-grpc)
for name in tests/unit/services/test-*.c; do
	name=${name##*/test-}
	targets+=("tests/unit/services/test-service-${name%.c}")
done
# Built, for the scripts and to see that they still do.
tools=(userspace/nexusd/nexusd userspace/services/{permissions/permissions,namespace/namespace,agent_registry/agent_registry,cache/cache,mount/mount,scheduler/scheduler,rpc_grpc/rpc_grpc}.so userspace/libnexus/grpc.so drivers/recordstore/sqlite.so drivers/cachestore/redis.so drivers/objectstore/content/s3.so tools/fsck.nexusfs/fsck.nexusfs tools/nexusctl/nexusctl
	tests/unit/services/mount-fake.so tests/unit/nexusd/{index-edit,make-golden})
# What has threads, and the store, which is used by those that have.
threaded=(tests/unit/drivers/test-{threads,recordstore-sqlite,recordstore-postgres,s3-sigv4,s3-profile,s3-creds,cachestore-mem,cachestore-redis} tests/unit/nexusd/test-nexusd-{helper,patience,memtable,applier,zone,worker,store,space,fetch,scrub,upload,upload-failures,origin,origin-increment,origin-owner,origin-packs,restore,gc,gc-listing}
	tests/unit/nexusd/test-nexusd-{boot,cachestore,service,service-records,service-records-postgres,service-rpc,service-stream,service-swap,service-load}
	tests/unit/services/test-service-{agent_registry-time,agent_registry-rpc,cache-rpc,eventlog,eventlog-recovery,eventlog-retain,eventlog-rpc,event_bus,event_bus-messages,event_bus-rpc,event_bus-share,mount,mount-run,mount-rpc,namespace-kept,namespace-rpc,permissions-ask,permissions-loaded,permissions-redis,scheduler,scheduler-rpc})
