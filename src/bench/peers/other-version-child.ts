/** Runs in the host's namespace: `node other-version-child.js '{"object": …, "port": …, "place": …}'`. */
import { leaveOtherVersion, type OtherPlace, type OtherPort } from '../../lab/other-version.js';

const { object, port, place } = JSON.parse(process.argv[2]!) as {
	object: string;
	port: OtherPort;
	place: OtherPlace;
};
leaveOtherVersion(object, port, place);
