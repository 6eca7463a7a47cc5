/**
 * A worked example of an offload hook: tc-bpf, with a journal of who owned which address when. Every change that the
 * port tells its hook is one JSON line in the file that IPVTAP_AUDIT_LOG names (the daemon's environment).
 *
 *     sudo install -m 0644 -D audit-offload.mjs /usr/local/lib/ipvtap/audit-offload.mjs
 *     sudo IPVTAP_AUDIT_LOG=/var/log/ipvtap-audit.log ipvtap daemon &
 *     sudo ipvtap up eth0 --offload /usr/local/lib/ipvtap/audit-offload.mjs
 */
import { appendFileSync } from 'node:fs';

const journal = process.env.IPVTAP_AUDIT_LOG;

export default function makeHook({ TcBpf }) {
	const inner = new TcBpf();
	return {
		name: 'audit',
		probe: mode => (journal ? inner.probe(mode) : 'IPVTAP_AUDIT_LOG names no file'),
		open: context => new AuditedPort(inner.open(context), context.master),
	};
}

class AuditedPort {
	constructor(port, master) {
		this.port = port;
		this.master = master;
	}

	get detail() {
		return `${this.port.detail}, journal ${journal}`;
	}

	get punts() {
		return this.port.punts;
	}

	get buckets() {
		return this.port.buckets;
	}

	setPort(policy) {
		this.port.setPort(policy);
		this.write('port', policy);
	}

	addSlave(slave) {
		this.port.addSlave(slave);
		this.write('slave added', slave);
	}

	removeSlave(slave, exists) {
		this.port.removeSlave(slave, exists);
		this.write('slave removed', slave);
	}

	addAddress(address, edge) {
		this.port.addAddress(address, edge);
		this.write('address added', { address, edge });
	}

	removeAddress(address) {
		this.port.removeAddress(address);
		this.write('address removed', { address });
	}

	setGroups(edge, groups) {
		this.port.setGroups(edge, groups);
		this.write('groups', { edge, ...groups });
	}

	settle() {
		this.port.settle();
	}

	counters(edge) {
		return this.port.counters(edge);
	}

	detach() {
		this.port.detach();
		this.write('detached', {});
	}

	/** A journal that can't be written takes the offload off: ipvtap goes on without it, and says why. */
	write(event, details) {
		const line = { time: new Date().toISOString(), master: this.master, event, ...details };
		appendFileSync(journal, `${JSON.stringify(line)}\n`);
	}
}
