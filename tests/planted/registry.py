"""All bugs that are planted."""

from tests.planted.bugs_of_keeping import BUGS_OF_KEEPING
from tests.planted.bugs_of_money import BUGS_OF_MONEY
from tests.planted.bugs_of_use import BUGS_OF_USE

DATA_BUGS = (*BUGS_OF_USE, *BUGS_OF_MONEY, *BUGS_OF_KEEPING)
