/** What is said of a NIC that takes no rule. */
import test from 'ava';
import { whatIsMissing } from '../../../src/offload/tc-flower/refusal.js';

const able = { name: 'eth0', switchId: '0a', feature: 'on', isUnknown: false };

test('the first thing that is missing is named, with the command that changes it', t => {
	t.regex(
		whatIsMissing({ ...able, feature: 'off', isUnknown: true }),
		/sudo modprobe -a cls_flower act_pedit act_mirred act_gact$/,
	);
	t.is(
		whatIsMissing({ ...able, feature: 'off', switchId: undefined }),
		'hw-tc-offload is off: sudo ethtool -K eth0 hw-tc-offload on',
	);
	t.is(whatIsMissing({ ...able, feature: 'unavailable' }), 'the driver of eth0 has no hw-tc-offload');
	t.regex(whatIsMissing({ ...able, switchId: undefined }), /sudo devlink dev eswitch set .* mode switchdev/);
	t.regex(whatIsMissing(able), /can't do what the rule says/);
});
