import test from 'ava';
import { libvirtMetadata } from '../../../qemu/libvirt-xml.js';
import type { AddressEntry } from '../../../src/control/model.js';

const nic = { ifname: 'ipvt-web1', master: 'eth0', mode: 'l2', learn: true, addresses: [] } as const;

test('metadata of a guest that learns its addresses', t => {
	t.is(
		libvirtMetadata({ ...nic, addresses: [] }),
		`<metadata>
  <ipvtap:vm xmlns:ipvtap='https://ipvtap.dev/xmlns/libvirt/1'>
    <ipvtap:nic target='ipvt-web1' master='eth0' mode='l2' learn='on'/>
  </ipvtap:vm>
</metadata>`,
	);
});

test('metadata of a guest with static addresses: what it has learned is not declared', t => {
	const addresses: AddressEntry[] = [
		{ address: '192.0.2.10', family: 'inet', origin: 'static' },
		{ address: '2001:db8::10', family: 'inet6', origin: 'static' },
		{ address: '192.0.2.99', family: 'inet', origin: 'dhcp' },
	];
	t.is(
		libvirtMetadata({ ...nic, learn: false, master: "a'b", addresses }),
		`<metadata>
  <ipvtap:vm xmlns:ipvtap='https://ipvtap.dev/xmlns/libvirt/1'>
    <ipvtap:nic target='ipvt-web1' master='a&#39;b' mode='l2' learn='off'>
      <ipvtap:ip>192.0.2.10</ipvtap:ip>
      <ipvtap:ip>2001:db8::10</ipvtap:ip>
    </ipvtap:nic>
  </ipvtap:vm>
</metadata>`,
	);
});
