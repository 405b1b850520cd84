"""From a survey's image or cube to a catalogue: reading by windows, missing pixels, sky positions, files."""

from astrokeras.survey.catalogue import catalogue as catalogue
from astrokeras.survey.challenge_score import ChallengeScore as ChallengeScore
from astrokeras.survey.detect import detect as detect
from astrokeras.survey.formats import read_catalogue as read_catalogue
from astrokeras.survey.formats import write_catalogue as write_catalogue
from astrokeras.survey.image import SurveyImage as SurveyImage
from astrokeras.survey.image import open_image as open_image
from astrokeras.survey.missing import NAN_POLICIES as NAN_POLICIES
from astrokeras.survey.missing import fill_missing as fill_missing
from astrokeras.survey.missing import mostly_missing as mostly_missing
from astrokeras.survey.sdc1_score import sdc1_score as sdc1_score
from astrokeras.survey.sdc2_score import sdc2_score as sdc2_score
from astrokeras.survey.sky import frame_of as frame_of
from astrokeras.survey.sky import pixel_to_sky as pixel_to_sky
from astrokeras.survey.sky import sky_angles as sky_angles
from astrokeras.survey.sky import sky_to_pixel as sky_to_pixel
from astrokeras.survey.thresholds import Thresholds as Thresholds
from astrokeras.survey.thresholds import tune_thresholds as tune_thresholds
